# SPDX-License-Identifier: BSD-3-Clause
"""Units that do not let their sockets receive a packet: explain names the unit and the setting, and a client meets it."""

import json

from harness.host import CLIENT_V4
from harness.process import MOMENT, PATIENCE
from harness.traffic import SILENCE, who

from units import enable, rule, service, settle, unit

PUBLIC = "192.0.2.1"
SUMMARY = f"tcp {PUBLIC}:80 is lost: it is for a socket of {{}}, which does not receive it ({{}}=)"


def explained(machine, *options, status):
    done = machine.run("usherctl", "--json", "explain", "tcp", f"{PUBLIC}:80", *options, check=False)
    data = json.loads(done.stdout)
    assert done.returncode == status, done.stdout
    return data


def found(data, code):
    row, = [row for row in data["findings"] if row["code"] == code]
    return row


def meets(expected):
    assert who(PUBLIC, 80, seconds=MOMENT if expected == SILENCE else PATIENCE) == expected


CAME = ["--from", f"{CLIENT_V4}:4000", "--device", "eth0"]


class Settings:
    """Settings of the socket unit and of its slice, while the units are stopped"""

    def __init__(self, machine):
        self.machine = machine
        rule(machine, "web", "Stream=192.0.2.0/24:80")
        service(machine, "web", "127.0.0.2:8080")
        enable(machine, "usherd.service", "web.socket", "usher@web.service")

    def change(self, socket=(), slice_=()):
        self.machine.sh("systemctl stop web.socket; systemctl stop web.service usher@web.service")
        unit(self.machine, "web.socket.d/x.conf", "[Unit]", "StartLimitIntervalSec=0", "[Socket]", *socket)
        unit(self.machine, "system.slice.d/x.conf", "[Slice]", *slice_)
        self.machine.sh("systemctl daemon-reload; systemctl start web.socket; systemctl start usher@web.service")
        settle(self.machine)


def test_addresses(machine):
    """IPAddressDeny= and IPAddressAllow= of the unit whose cgroup the socket is in, and of its slices"""
    settings = Settings(machine)
    explained(machine, status=0)
    meets("web")

    settings.change(socket=["IPAddressDeny=any"])
    meets(SILENCE)
    data = explained(machine, status=1)
    assert data["summary"] == SUMMARY.format("web.socket", "IPAddressDeny") and data["arrives"] is False
    assert found(data, "unit-denies")["text"] == (
        "web.socket receives nothing from any address: IPAddressDeny=0.0.0.0/0 of web.socket, and IPAddressAllow= admits no address")
    command = found(explained(machine, *CAME, status=1), "unit-denies")["command"]
    assert command == f"systemctl set-property web.socket IPAddressAllow={CLIENT_V4}"
    machine.sh(command)
    meets("web")
    explained(machine, *CAME, status=0)
    explained(machine, "--from", "198.51.100.77:5", status=1)
    machine.sh("rm -r /etc/systemd/system.control/web.socket.d")

    settings.change(socket=["IPAddressAllow=203.0.113.0/24"], slice_=["IPAddressDeny=any"])
    meets("web")
    data = explained(machine, status=4)
    assert data["summary"].startswith(f"as far as was looked at: tcp {PUBLIC}:80 goes to 'web'")
    row = found(data, "unit-admits")
    assert row["text"] == ("web.socket receives nothing from 0.0.0.0/0 (IPAddressDeny= of system.slice), but for what "
                           "IPAddressAllow= admits: 203.0.113.0/24")
    assert row["command"] == f"usherctl explain tcp {PUBLIC}:80 --from ADDRESS:PORT"
    explained(machine, *CAME, status=0)
    assert "IPAddressDeny=0.0.0.0/0 of system.slice" in found(
        explained(machine, "--from", "198.51.100.77:5", status=1), "unit-denies")["text"]

    settings.change(socket=["IPAddressDeny=198.18.0.0/15"])
    meets("web")
    explained(machine, status=4)
    explained(machine, *CAME, status=0)

    settings.change(socket=["IPAddressDeny=2001:db8::/32"])
    meets("web")
    explained(machine, status=0)

    settings.change(slice_=[f"IPAddressDeny={CLIENT_V4}"])
    meets(SILENCE)
    explained(machine, *CAME, status=1)


def test_devices(machine):
    """RestrictNetworkInterfaces="""
    settings = Settings(machine)
    settings.change(socket=["RestrictNetworkInterfaces=lo"])
    if "+BPF_FRAMEWORK" not in machine.systemctl("--version").stdout:
        meets("web")
        explained(machine, *CAME, status=0)
        return
    meets(SILENCE)
    data = explained(machine, *CAME, status=1)
    assert data["summary"].endswith("which does not receive it (RestrictNetworkInterfaces=)")
    assert found(data, "unit-denies")["text"] == "web.socket receives only what comes by lo (RestrictNetworkInterfaces= of web.socket)"
    row = found(explained(machine, status=4), "unit-admits")
    assert row["command"] == f"usherctl explain tcp {PUBLIC}:80 --device NAME"
    settings.change(socket=["RestrictNetworkInterfaces=~eth0"])
    meets(SILENCE)
    explained(machine, *CAME, status=1)
    settings.change(socket=["RestrictNetworkInterfaces=eth0"])
    meets("web")
    explained(machine, *CAME, status=0)


def test_cgroup_that_is_gone(machine):
    """The socket unit is stopped, and its service has the socket open: the programs of that cgroup act, and are not seen."""
    settings = Settings(machine)
    settings.change(socket=["IPAddressDeny=any"])
    machine.sh("systemctl stop web.service; systemctl start web.service; systemctl stop web.socket")
    assert machine.run("usherctl", "--no-legend", "list").stdout.split()[3] == "serving"
    data = explained(machine, status=4)
    assert "BPF programs of the cgroup in which the socket was created" in found(data, "not-looked-at")["text"]
