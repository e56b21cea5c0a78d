# SPDX-License-Identifier: BSD-3-Clause
"""usher-relay@NAME.service as docs/relay.md sets it up: in the network namespace of its backend, without any privilege"""

import os
import pathlib
import re
import socket

import pytest

from harness.process import PATIENCE, wait_until
from harness.traffic import REFUSED, who

from conftest import SOURCE
from units import ANSWER, enable, rule, settle, sockets, unit

TEXT = (SOURCE / "docs/relay.md").read_text()
FILES = dict(re.findall(r"^`(/[^`\s]+)`:\n\n```\w+\n(.*?)^```$", TEXT, re.M | re.S))

BLUE = ("[Service]", "Type=oneshot", "RemainAfterExit=yes", "ExecStart=ip netns add blue", "ExecStart=ip -n blue link set lo up",
        "ExecStart=ip -n blue address add 10.0.0.2/32 dev lo", "ExecStop=ip netns delete blue")


def backend(machine, name, address, *lines, unit_lines=()):
    """A service that opens its socket itself, at an address of its namespace"""
    machine.write("/usr/local/bin/answer", ANSWER.read_text(), 0o755)
    machine.write("/usr/local/bin/with-socket", (SOURCE / "examples/with-socket").read_text(), 0o755)
    unit(machine, f"{name}.service", "[Unit]", *unit_lines, "[Service]", "Restart=always", "RestartSec=100ms",
         f"ExecStart=/usr/local/bin/with-socket {name} {address} -- /usr/local/bin/answer {name}", *lines,
         "[Install]", "WantedBy=multi-user.target")


def documented(machine, *parts):
    for path, text in FILES.items():
        if any(part in path for part in parts):
            machine.write(path, text)


@pytest.fixture
def relayed(machine):
    """192.0.2.1:80 is relayed to `inside` at 10.0.0.2:80 in the network namespace blue."""
    unit(machine, "blue.service", *BLUE)
    backend(machine, "inside", "10.0.0.2:80", "NetworkNamespacePath=/run/netns/blue",
            unit_lines=["BindsTo=blue.service", "PartOf=blue.service", "After=blue.service"])
    documented(machine, "web.rule", "web.socket", "web.service.d/namespace")
    enable(machine, "usherd.service", "inside.service", "web.socket", "usher@web.service")
    return machine


def serves(name="inside", address="192.0.2.1"):
    return wait_until(lambda: who(address, 80) == name, f"{name} answers at {address}")


def status(machine):
    pid = machine.main_pid("usher-relay@web.service")
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return pid, dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_namespace(relayed):
    """The first client starts it. It has no capability, a user of its own, and the namespace of the backend."""
    assert relayed.state("usher-relay@web.service") == "inactive/dead"
    serves()
    assert [row[0] for row in sockets(relayed)] == ["web"]
    pid, fields = status(relayed)
    assert {fields[key] for key in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000000"}
    assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1"
    assert 61184 <= int(fields["Uid"].split()[0]) <= 65519, "of DynamicUser="
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink(f"/proc/{relayed.pid}/ns/net")
    assert relayed.show("usher-relay@web.service", "StatusText") == "Relaying to 10.0.0.2:80"


def test_restart(relayed):
    """An open connection goes on to its end, and newcomers wait for the next relay."""
    serves()
    with socket.create_connection(("192.0.2.1", 80), timeout=PATIENCE) as client:
        before = relayed.main_pid("usher-relay@web.service")
        relayed.systemctl("restart", "--no-block", "usher-relay@web.service")
        wait_until(lambda: relayed.state("usher-relay@web.service").startswith("deactivating"))
        late = socket.create_connection(("192.0.2.1", 80), timeout=PATIENCE)
        assert client.recv(1000).startswith(b"inside")
    with late:
        assert late.recv(1000).startswith(b"inside")
    assert relayed.main_pid("usher-relay@web.service") != before


def test_reload(relayed):
    """systemctl reload usherd applies a new rule to the relays, too."""
    serves()
    before = relayed.main_pid("usher-relay@web.service")
    backend(relayed, "other", "10.0.0.2:81", "NetworkNamespacePath=/run/netns/blue")
    enable(relayed, "other.service")
    rule(relayed, "web", "Stream=192.0.2.1:80", "[Relay]", "Connect=10.0.0.2:81")
    relayed.systemctl("reload", "usherd.service")
    serves("other")
    assert relayed.main_pid("usher-relay@web.service") == before


def test_kill(relayed):
    serves()
    pid = relayed.main_pid("usher-relay@web.service")
    relayed.systemctl("kill", "--signal=KILL", "usher-relay@web.service")
    wait_until(lambda: relayed.main_pid("usher-relay@web.service") not in (pid, 0) or serves())
    serves()


def test_stop(relayed):
    """The next client starts it again, as it does every service of a socket unit."""
    serves()
    relayed.systemctl("stop", "usher-relay@web.service")
    assert relayed.state("usher-relay@web.service") == "inactive/dead"
    serves()
    relayed.systemctl("stop", "web.socket", "usher-relay@web.service")
    wait_until(lambda: who("192.0.2.1", 80) == REFUSED)


def test_reboot(relayed):
    serves()
    relayed.reboot()
    settle(relayed)
    serves()


def test_new_namespace(relayed):
    """The unit that makes the namespace restarts: the relay follows it."""
    serves()
    relayed.systemctl("restart", "blue.service")
    settle(relayed)
    serves()


def test_broker_restarts(relayed):
    serves()
    pid = relayed.main_pid("usher-relay@web.service")
    relayed.systemctl("restart", "usherd.service")
    settle(relayed)
    serves()
    assert relayed.main_pid("usher-relay@web.service") == pid
    assert not [text for text in relayed.messages("-u", "usher-relay@web.service") if "cannot connect" in text]


def test_watchdog(relayed):
    """A relay that hangs is killed and started again."""
    unit(relayed, "usher-relay@web.service.d/watchdog.conf", "[Service]", "WatchdogSec=1s", "TimeoutAbortSec=1s")
    relayed.systemctl("daemon-reload")
    serves()
    pid = relayed.main_pid("usher-relay@web.service")
    last = relayed.show("usher-relay@web.service", "WatchdogTimestampMonotonic")
    wait_until(lambda: relayed.show("usher-relay@web.service", "WatchdogTimestampMonotonic") != last)
    relayed.systemctl("kill", "--signal=STOP", "usher-relay@web.service")
    wait_until(lambda: relayed.main_pid("usher-relay@web.service") not in (0, pid))
    serves()


def test_transparent(relayed):
    """The backend sees the address and port of the client."""
    documented(relayed, "transparent")
    rule(relayed, "web", "Stream=192.0.2.1:80", "[Relay]", "Connect=10.0.0.2:80", "Transparent=yes")
    for command in re.findall(r"^    ip (.*)$", TEXT, re.M):
        relayed.run("ip", "-n", "blue", *command.split())
    relayed.systemctl("daemon-reload")
    with socket.create_connection(("192.0.2.1", 80), timeout=PATIENCE) as client:
        host, port = client.getsockname()
        assert client.recv(1000).decode().split()[:3] == ["inside", host, str(port)]
    _, fields = status(relayed)
    assert {fields[key] for key in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000002000"}, "CAP_NET_RAW"


def test_private_network(machine):
    backend(machine, "backend", "127.0.0.1:80", "PrivateNetwork=yes")
    rule(machine, "shop", "Stream=192.0.2.2:80", "[Relay]", "Connect=127.0.0.1:80")
    unit(machine, "shop.socket", "[Socket]", "ListenStream=127.0.0.3:8080", "FileDescriptorName=shop",
         "Service=usher-relay@shop.service", "[Install]", "WantedBy=sockets.target")
    documented(machine, "shop")
    enable(machine, "usherd.service", "backend.service", "shop.socket", "usher@shop.service")
    serves("backend", "192.0.2.2")
    machine.systemctl("restart", "backend.service")
    settle(machine)
    serves("backend", "192.0.2.2")


def test_unix_socket(machine):
    """The relay needs write permission on the socket, here by a group."""
    unit(machine, "backend.socket", "[Socket]", "ListenStream=/run/backend.sock", "SocketMode=0660", "SocketGroup=www-data",
         "Accept=yes")
    unit(machine, "backend@.service", "[Service]", "ExecStart=cat", "StandardInput=socket", "StandardOutput=socket")
    rule(machine, "web", "Stream=192.0.2.1:80", "[Relay]", "Connect=/run/backend.sock")
    documented(machine, "web.socket")
    enable(machine, "usherd.service", "backend.socket", "web.socket", "usher@web.service")

    def echoes():
        with socket.create_connection(("192.0.2.1", 80), timeout=PATIENCE) as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            return client.recv(100) == b"question"

    with pytest.raises(ConnectionResetError):
        echoes()
    assert [text for text in machine.messages("-u", "usher-relay@web.service")
            if "cannot connect to the backend /run/backend.sock: Permission denied (EACCES)" in text
            and "SupplementaryGroups=" in text]
    unit(machine, "usher-relay@web.service.d/group.conf", "[Service]", "SupplementaryGroups=www-data")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "usher-relay@web.service")
    assert echoes()
