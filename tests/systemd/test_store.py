# SPDX-License-Identifier: BSD-3-Clause
"""Held sockets: handed in over the notify socket, and kept in the service manager's store while there is no broker. And
sockets that the service manager passes to the broker itself."""

import os
import pathlib
import signal
import socket
import subprocess

import pytest
from harness.process import PATIENCE, wait_until
from harness.traffic import REFUSED, Load, who

from units import enable, rule, service, settle, sockets, unit

PUBLIC = "192.0.2.1"


@pytest.fixture
def held(machine):
    """The broker, and web.service with Type=notify, which has usher hold its socket."""
    program = machine.root / "usr/local/bin/held"
    source = pathlib.Path(__file__).with_name("held.c")
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, source, "-lsystemd"], check=True)
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    unit(machine, "web.service", "[Unit]", "Wants=usherd.socket", "After=usherd.socket", "[Service]", "Type=notify",
         "ExecStart=/usr/local/bin/held web 127.0.0.2 8080", "[Install]", "WantedBy=multi-user.target")
    enable(machine, "usherd.service", "web.service")
    return machine


def accepts():
    """Whether the kernel, at least, accepts a connection."""
    try:
        socket.create_connection((PUBLIC, 80), timeout=PATIENCE).close()
        return True
    except ConnectionRefusedError:
        return False


def is_held(machine):
    line, = sockets(machine)
    return line[0], line[3], line[10]


def test_both_notify_sockets(held):
    """A service of Type=notify talks to its manager and to usher; neither takes the other's place."""
    assert held.show("web.service", "StatusText") == "held by usher"
    assert held.state("web.service") == "active/running"
    assert who(PUBLIC, 80) == "web"
    line, = sockets(held)
    assert (line[3], line[7], line[9], line[10]) == ("serving", "web.service", "notify", "yes")


def test_systemd_notify(machine):
    """systemd-notify(1) can hand in since version 254, which passes descriptors. Every version can withdraw."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    unit(machine, "tell.service", "[Service]", "Type=oneshot", "Sockets=web.socket",
         "ExecStart=env NOTIFY_SOCKET=/run/usher/notify systemd-notify --fd=3 --fdname=web")
    enable(machine, "usherd.service", "web.socket")
    if machine.version >= 254:
        machine.systemctl("start", "tell.service")
    else:
        machine.run("systemd-run", "--quiet", "--wait", "-p", "Type=oneshot", "true")
        unit(machine, "tell.service", "[Service]", "Type=oneshot", "Sockets=web.socket",
             "ExecStart=usherctl hand-in --hold")
        machine.systemctl("daemon-reload")
        machine.systemctl("start", "tell.service")
    assert is_held(machine) == ("web", "serving", "yes")
    assert who(PUBLIC, 80) == "web"
    machine.run("env", "NOTIFY_SOCKET=/run/usher/notify", "systemd-notify", "FDSTOREREMOVE=1\nFDNAME=web")
    wait_until(lambda: sockets(machine) == [])
    assert who(PUBLIC, 80) == REFUSED


@pytest.mark.parametrize("end", ["restart", "SIGKILL", "SIGSEGV", "watchdog"])
def test_held_without_its_process(held, end):
    """The service has ended, and the broker ends: the socket still listens, and waiting connections are answered later."""
    if end == "watchdog":
        unit(held, "usherd.service.d/watchdog.conf", "[Service]", "WatchdogSec=1s")
        held.systemctl("daemon-reload")
        held.systemctl("restart", "usherd.service")
    assert who(PUBLIC, 80) == "web"
    held.systemctl("stop", "web.service")
    assert is_held(held) == ("web", "serving", "yes")
    waiting = [socket.create_connection((PUBLIC, 80), timeout=PATIENCE)]
    for _ in range(3):
        if end == "restart":
            held.systemctl("restart", "usherd.service")
        else:
            pid = held.main_pid("usherd.service")
            os.kill(pid, signal.SIGSTOP if end == "watchdog" else signal.Signals[end])
            waiting.append(socket.create_connection((PUBLIC, 80), timeout=PATIENCE))
            wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"))
        assert is_held(held) == ("web", "serving", "yes")
        waiting.append(socket.create_connection((PUBLIC, 80), timeout=PATIENCE))
    claim(held)
    for connection in waiting:
        assert connection.recv(100).startswith(b"web ")


def claim(machine):
    """Change web.service so that it claims the held socket from usher."""
    service(machine, "web", "127.0.0.9:9", start="usherctl claim {name} -- /usr/local/bin/answer {name}")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "web.service")


def test_reexec(held):
    """After daemon-reexec, the store is kept."""
    held.systemctl("stop", "web.service")
    held.systemctl("daemon-reexec")
    held.systemctl("restart", "usherd.service")
    assert is_held(held) == ("web", "serving", "yes")
    assert accepts()


def test_stop(held):
    """systemd 254 keeps the store of a stopped unit. Older versions do not, and do not say so."""
    held.systemctl("stop", "web.service")
    held.systemctl("stop", "usherd.service", "usherd.socket")
    kept = held.version >= 254
    assert accepts() == kept
    held.systemctl("start", "usherd.service")
    settle(held)
    assert [line[0] for line in sockets(held)] == (["web"] if kept else [])
    if kept:
        claim(held)  # its address is in use by the socket that usher holds
    else:
        held.systemctl("start", "web.service")
    assert who(PUBLIC, 80) == "web"


def test_withdrawn_is_not_kept(held):
    """A withdrawn socket is removed from the store, too."""
    held.run("usherctl", "withdraw", "web")
    held.systemctl("stop", "web.service")
    held.systemctl("restart", "usherd.service")
    assert sockets(held) == []
    assert who(PUBLIC, 80) == REFUSED
    assert held.show("usherd.service", "NFileDescriptorStore") == "0"


def test_overflow(machine):
    """More sockets than the store takes are refused with the remedy. None is lost silently."""
    rule(machine, "web", "Stream=192.0.2.0/24:80-89")
    service(machine, "web", "127.0.0.2:8080", "127.0.0.2:8081", "127.0.0.2:8082")
    unit(machine, "usherd.service.d/few.conf", "[Service]", "FileDescriptorStoreMax=2",
         *([] if machine.version >= 254 else ["Environment=FDSTORE=2"]))
    unit(machine, "usher@web.service.d/hold.conf", "[Service]", "ExecStart=", "ExecStart=usherctl hand-in --hold")
    enable(machine, "usherd.service", "web.socket")
    assert machine.systemctl("start", "usher@web.service", check=False).returncode != 0
    # the start of the socket unit may have tried it, too
    refusals = [text for text in machine.messages("-t", "usherctl") if "cannot hand in" in text]
    assert refusals and all("ENOSPC" in text and "FileDescriptorStoreMax=" in text for text in refusals)
    assert sockets(machine) == []


def test_many(machine):
    """As many sockets as the unit has room for come back, each under its name."""
    count = 40
    rule(machine, "web", "Stream=192.0.2.0/24:1000-2000")
    service(machine, "web", *[f"127.0.0.2:{8000 + i}" for i in range(8)])
    for i in range(count // 8):
        rule(machine, f"web{i}", f"Stream=198.51.100.{i}/32:80")
        service(machine, f"web{i}", *[f"127.0.0.{3 + i}:{8000 + j}" for j in range(8)])
        unit(machine, f"usher@web{i}.service.d/hold.conf", "[Service]", "ExecStart=", "ExecStart=usherctl hand-in --hold")
    machine.systemctl("daemon-reload")
    enable(machine, "usherd.service")
    machine.systemctl("start", *[f"usher@web{i}.service" for i in range(count // 8)])
    before = sorted(line[:6] for line in sockets(machine))
    assert len(before) == count
    machine.systemctl("restart", "usherd.service")
    assert sorted(line[:6] for line in sockets(machine)) == before
    assert machine.show("usherd.service", "NFileDescriptorStore") == str(count)


def test_sockets_of_the_broker(machine):
    """With Sockets= in a drop-in of usherd.service, the broker gets the sockets at each start, under their names."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080", run=["[Install]", "WantedBy=multi-user.target"])
    unit(machine, "usherd.service.d/web.conf", "[Service]", "Sockets=web.socket")
    machine.systemctl("daemon-reload")
    enable(machine, "web.socket", "usherd.service", "web.service")
    for _ in range(2):
        line, = sockets(machine)
        assert (line[0], line[3], line[9], line[10]) == ("web", "serving", "systemd", "no")
        load = Load((PUBLIC, 80), rate=500)
        machine.systemctl("restart", "usherd.service")
        machine.systemctl("restart", "web.service")
        assert set(load.finish()) == {(0, "web")}
        machine.reboot()
        settle(machine)
    # this does not suit a service that starts at its first connection: to systemd, the broker is that service
    machine.systemctl("stop", "web.service")
    assert accepts()
    assert machine.state("web.service") == "inactive/dead"


def test_unix_sockets_are_no_doors(machine):
    """Units with Unix sockets among Sockets= of the broker: in whatever order systemd passes them, clients reach the broker
    where they always do, and the journal says what is of no use."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    names = [f"other{n}" for n in range(6)]
    for name in names:
        unit(machine, f"{name}.socket", "[Socket]", f"ListenSequentialPacket=/run/{name}.packet",
             f"ListenDatagram=/run/{name}.datagram", "Service=usherd.service")
    unit(machine, "usherd.service.d/others.conf", "[Service]", *[f"Sockets={name}.socket" for name in names])
    enable(machine, "usherd.service")
    for _ in range(2):
        machine.systemctl("restart", "usherd.service")
        assert "Broker: usherd" in machine.run("usherctl", "status").stdout
        said = [text for text in machine.messages("-u", "usherd.service") if "which the broker has no use for" in text]
        assert {name for name in names if any(f"/run/{name}.packet" in text for text in said)} == set(names)


def test_door_in_another_place(machine):
    """A drop-in that moves the socket of usherd.socket leaves clients without a broker: the start fails, and says so."""
    unit(machine, "usherd.socket.d/moved.conf", "[Socket]", "ListenSequentialPacket=",
         "ListenSequentialPacket=/run/usher/moved.sock")
    machine.systemctl("daemon-reload")
    assert machine.systemctl("start", "usherd.service", check=False).returncode != 0
    assert machine.show("usherd.service", "ExecMainStatus") == "78"
    said = [text for text in machine.messages("-u", "usherd.service") if "which is not a door of this broker" in text]
    assert said and "ListenSequentialPacket=/run/usher/usher.sock" in said[0], said
    wait_until(lambda: machine.state("usherd.socket") == "inactive/dead")


LINGERS = """#!/usr/bin/python3
# Have usher hold a listener, turn it into a connection that lingers for an hour, and close the own copy.
import ctypes, os, signal, socket, struct, subprocess

sink = socket.create_server(("127.0.0.1", 0))
sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
listener = socket.create_server(("127.0.0.2", 8080))
subprocess.run(["usherctl", "hand-in", "--hold", "web", "--fd", str(listener.fileno())],
               pass_fds=[listener.fileno()], check=True)
listener.shutdown(socket.SHUT_RDWR)
address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", sink.getsockname()[1]) + socket.inet_aton("127.0.0.1")
assert ctypes.CDLL(None).connect(listener.fileno(), ctypes.create_string_buffer(address + bytes(8)), 16) == 0
listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
listener.setblocking(False)
try:
    while True:
        listener.send(bytes(65536))
except BlockingIOError:
    pass
listener.setblocking(True)  # or close(2) does not wait
subprocess.run(["systemd-notify", "--ready"], check=True)
signal.pause()
"""


def test_store_of_a_lingering_connection(machine):
    """The service manager drops its copies of held sockets without waiting for them, even if it has the last one."""
    rule(machine, "web", "Stream=192.0.2.0/24:80", "[Access]", "User=nobody")
    machine.write("/usr/local/bin/lingers", LINGERS, 0o755)
    unit(machine, "lingers.service", "[Service]", "Type=notify", "NotifyAccess=all", "User=nobody",
         "ExecStart=/usr/local/bin/lingers")
    enable(machine, "usherd.service")
    machine.systemctl("start", "lingers.service")
    assert machine.show("usherd.service", "NFileDescriptorStore") == "1"
    # its process ends: the copies that are left are those of usherd and of the manager
    machine.systemctl("kill", "--signal=KILL", "lingers.service")
    machine.systemctl("kill", "--signal=KILL", "usherd.service")
    for what in "stop", "start", "restart":
        machine.systemctl(what, "usherd.service", "usherd.socket")
        assert machine.show("lingers.service", "ActiveState") == "failed"
    assert machine.state("usherd.service") == "active/running"
