# SPDX-License-Identifier: BSD-3-Clause
"""`usherctl listeners` with real units: whose socket it is, and which unit that is not started would want its port."""

import json

from harness.process import wait_until

from units import enable, rule, settle, unit

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def table(machine, *before):
    found = json.loads(machine.run(*before, "usherctl", "--json", "listeners").stdout)
    return {row["address"]: row for row in found["listeners"]}, found["not_looked_at"]


def prepare(machine):
    """web.socket is active; rival.socket, wide.socket and templates@ are not; other.socket wants another port."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    unit(machine, "web.socket", "[Socket]", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web")
    unit(machine, "web.service", "[Service]", "ExecStart=sleep infinity")
    unit(machine, "rival.socket", "[Socket]", "ListenStream=127.0.0.2:8080")
    unit(machine, "rival.service", "[Service]", "ExecStart=sleep infinity")
    unit(machine, "wide.socket", "[Socket]", "ListenStream=8080", "BindIPv6Only=both", "Service=rival.service")
    unit(machine, "narrow.socket", "[Socket]", "ListenStream=8080", "BindIPv6Only=ipv6-only", "Service=rival.service")
    unit(machine, "udp.socket", "[Socket]", "ListenDatagram=127.0.0.2:8080", "Service=rival.service")
    unit(machine, "other.socket", "[Socket]", "ListenStream=127.0.0.2:8081", "Service=rival.service")
    unit(machine, "template@.socket", "[Socket]", "ListenStream=127.0.0.2:8080")
    unit(machine, "daemon.service", "[Service]", "ExecStart=python3 -c 'import socket, time; "
         "s = socket.create_server((\"127.0.0.3\", 9000)); time.sleep(1e6)'")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    machine.systemctl("start", "daemon.service")
    settle(machine)


def test_units(machine):
    """Socket units by their sockets, services by their processes, units that are not started by their lines."""
    prepare(machine)
    rows, notes = wait_until(lambda: (found := table(machine)) and "127.0.0.3:9000" in found[0] and found, "the daemon listens")
    web, daemon = rows["127.0.0.2:8080"], rows["127.0.0.3:9000"]
    assert notes == [] and web["complete"] and daemon["complete"]
    assert (web["socket_unit"], web["names"], web["rules"]) == ("web.socket", ["web"], ["192.0.2.0/24:80"])
    assert (web["process"], web["pid"], web["unit"]) == ("systemd", 1, None), "nobody else has it open yet"
    assert sorted(web["wanted_by"]) == ["rival.socket", "wide.socket"]
    assert (daemon["process"], daemon["unit"], daemon["socket_unit"]) == ("python3", "daemon.service", None)
    assert daemon["wanted_by"] == []
    machine.systemctl("start", "web.service")
    assert table(machine)[0]["127.0.0.2:8080"]["unit"] == "web.service"


def test_same_address(machine):
    """Two sockets at one address: only that which the service manager has open is the unit's."""
    prepare(machine)
    machine.systemctl("stop", "web.socket")
    unit(machine, "web.socket", "[Socket]", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web", "ReusePort=yes")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "web.socket")
    unit(machine, "twin.service", "[Service]", "ExecStart=python3 -c 'import socket, time; "
         "s = socket.create_server((\"127.0.0.2\", 8080), reuse_port=True); time.sleep(1e6)'")
    machine.systemctl("start", "twin.service")

    def found():
        rows = json.loads(machine.run("usherctl", "--json", "listeners").stdout)["listeners"]
        return sorted((row["process"], row["socket_unit"]) for row in rows if row["address"] == "127.0.0.2:8080")

    rows = wait_until(lambda: (rows := found()) and len(rows) == 2 and rows, "both listen")
    assert rows == [("python3", None), ("systemd", "web.socket")]


def test_ordinary_user(machine):
    """Over the system bus, everybody sees the units; which process has a socket only root does, and this is said."""
    prepare(machine)
    rows, notes = table(machine, *NOBODY)
    web = rows["127.0.0.2:8080"]
    assert (web["socket_unit"], web["process"], web["complete"]) == ("web.socket", None, False)
    assert sorted(web["wanted_by"]) == ["rival.socket", "wide.socket"]
    assert any("SOCKET_UNIT is by the address alone" in note for note in notes), notes
    assert all("run as root" in note for note in notes), notes
