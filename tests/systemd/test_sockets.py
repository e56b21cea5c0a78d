# SPDX-License-Identifier: BSD-3-Clause
"""Socket units: the public port works, with a service that starts at the first connection, across restarts of everything;
and what systemd does with a second service on a socket unit."""

import os
import subprocess

import pytest
from harness.host import CLIENT_V4, CLIENT_V6
from harness.process import MOMENT, wait_until
from harness.traffic import REFUSED, Load, ask, who

from units import enable, rule, service, settle, sockets, unit

PUBLIC, PUBLIC_V6, PRIVATE, PRIVATE_V6 = "192.0.2.1", "2001:db8:1::80", "127.0.0.2:8080", "[fd00:1::1]:8080"

# The two ways to hand in the sockets of a unit
ONESHOT = pytest.param("oneshot", id="oneshot")
EXEC = pytest.param("exec", id="exec", marks=pytest.mark.since(256))


def web(machine, way="oneshot", *, socket=(), run=(), limit=0, listen=(PRIVATE, PRIVATE_V6)):
    """Set up the rule, web.socket and web.service. web.socket is enabled and started, web.service is not."""
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Stream=[2001:db8:1::/48]:80")
    service(machine, "web", *listen, socket=["BindIPv6Only=ipv6-only", *socket], run=run, limit=limit)
    if way == "exec":
        unit(machine, "web.socket.d/usher.conf", "[Unit]", "Wants=usherd.socket", "After=usherd.socket", "[Socket]",
             "PassFileDescriptorsToExec=yes", "ExecStartPost=-usherctl --timeout=4 hand-in")
        enable(machine, "usherd.service", "web.socket")
    else:
        enable(machine, "usherd.service", "web.socket", "usher@web.service")
    assert machine.state("web.service") == "inactive/dead"
    assert machine.state("web.socket") == "active/listening"


@pytest.mark.parametrize("way", [ONESHOT, EXEC])
def test_first_connection_starts_the_service(machine, way):
    """The first connection to the public address starts the service, which sees the client's own address."""
    web(machine, way)
    answer = ask(PUBLIC, 80)
    assert (answer.name, answer.peer, answer.local, answer.local_port) == ("web", CLIENT_V4, PUBLIC, 80)
    assert machine.state("web.service") == "active/running"
    machine.systemctl("stop", "web.service")
    answer = ask(PUBLIC_V6, 80)
    assert (answer.name, answer.peer, answer.local) == ("web", CLIENT_V6, PUBLIC_V6)
    assert machine.state("web.service") == "active/running"
    assert who(PUBLIC, 81) == REFUSED


@pytest.mark.parametrize("way", [ONESHOT, EXEC])
def test_reboot(machine, way):
    """After a reboot, enabled units bring everything back without any other action."""
    web(machine, way)
    for _ in range(2):
        machine.reboot()
        settle(machine)
        assert machine.state("web.service") == "inactive/dead"
        assert ask(PUBLIC, 80).name == ask(PUBLIC_V6, 80).name == "web"
        texts = machine.messages("-b", "-t", "usherctl")
        assert texts and all(text.startswith("handed in 'web:web'") for text in texts)


@pytest.mark.parametrize("way", [ONESHOT, EXEC])
@pytest.mark.parametrize("what", ["web.service", "usherd.service", "usherd.service web.service"])
def test_restart_under_load(machine, way, what):
    """Restarts while clients connect at full speed: every client is answered."""
    web(machine, way)
    load = Load((PUBLIC, 80), (PUBLIC_V6, 80), rate=1500)
    for _ in range(20 if what == "usherd.service" else 5):
        machine.systemctl("restart", *what.split())
    results = load.finish()
    print(f"{load.sent} connections, {load.rate:.0f}/s, the slowest took {load.slowest * 1000:.0f} ms")
    assert set(results) == {(0, "web"), (1, "web")}, results


def test_clients_of_the_broker_wait(machine):
    """Clients that ask the broker while it restarts are answered by the next one."""
    web(machine)
    asking = machine.popen("sh", "-c", "while usherctl list web; do :; done", stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
    for _ in range(10):
        machine.systemctl("restart", "usherd.service")
    assert asking.poll() is None, asking.stdout.read()
    machine.run("pkill", "-TERM", "-x", "sh")
    asking.wait()


def test_kill_the_broker_under_load(machine):
    web(machine)
    load = Load((PUBLIC, 80), rate=1500)
    for _ in range(20):
        before = machine.show("usherd.service", "MainPID")
        machine.systemctl("kill", "--signal=KILL", "usherd.service")
        wait_until(lambda: machine.state("usherd.service") == "active/running"
                   and machine.show("usherd.service", "MainPID") != before)
    results = load.finish()
    print(f"{load.sent} connections, {load.rate:.0f}/s, the slowest took {load.slowest * 1000:.0f} ms")
    assert set(results) == {(0, "web")}, results


def test_reexec_under_load(machine):
    web(machine)
    load = Load((PUBLIC, 80), rate=1500)
    for _ in range(3):
        machine.systemctl("daemon-reexec")
    machine.systemctl("daemon-reload")
    results = load.finish()
    assert set(results) == {(0, "web")}, results
    machine.systemctl("stop", "web.service")
    assert who(PUBLIC, 80) == "web"


@pytest.mark.parametrize("way", [ONESHOT, EXEC])
def test_stop(machine, way):
    """The socket of a stopped unit is withdrawn, and a restart of the broker starts neither the unit nor its service."""
    web(machine, way)
    assert who(PUBLIC, 80) == "web"
    machine.systemctl("stop", "web.socket")
    assert who(PUBLIC, 80) == "web", "the service runs, and still has the sockets"
    machine.systemctl("stop", "web.service")
    assert who(PUBLIC, 80) == REFUSED
    assert sockets(machine) == []
    machine.systemctl("restart", "usherd.service")
    settle(machine)
    assert machine.state("web.socket") == "inactive/dead"
    assert who(PUBLIC, 80) == REFUSED
    machine.systemctl("start", "web.socket")
    settle(machine)
    assert who(PUBLIC, 80) == "web"


def test_two_names(machine):
    """One service with the sockets of two names."""
    rule(machine, "http", "Stream=192.0.2.0/24:80")
    rule(machine, "echo", "Datagram=192.0.2.0/24:7")
    service(machine, "web", socket=["Service=web.service"])
    for name, listen in (("http", "ListenStream=127.0.0.2:8080"), ("echo", "ListenDatagram=127.0.0.2:7")):
        unit(machine, f"{name}.socket", "[Socket]", listen, f"FileDescriptorName={name}", "Service=web.service")
    unit(machine, "web.service.d/sockets.conf", "[Service]", "Sockets=http.socket echo.socket")
    machine.run("rm", "/etc/systemd/system/web.socket")
    machine.systemctl("daemon-reload")
    enable(machine, "usherd.service")
    machine.systemctl("start", "http.socket", "echo.socket", "usher@http.service", "usher@echo.service")
    assert [line[:2] for line in sockets(machine)] == [["echo", "udp"], ["http", "tcp"]]
    assert who(PUBLIC, 80) == "web"
    assert who(PUBLIC, 7, "udp") == "web"


@pytest.mark.parametrize("way", [ONESHOT, EXEC])
def test_bind_to_device(machine, way):
    """BindToDevice=lo: the service gets what comes by lo alone, with a rule as without, after a restart of the broker too.

    For other devices, systemd waits until udev knows them, and there is no udev here.
    """
    web(machine, way, socket=["BindToDevice=lo"])
    for _ in range(2):
        for address in (PUBLIC, PUBLIC_V6):
            assert who(address, 80) == REFUSED
            with machine.entered():
                assert who(address, 80) == "web"
        assert f"{PRIVATE}%lo" in machine.run("usherctl", "list").stdout
        for device, status in (("eth0", 1), ("lo", 0)):
            asked = machine.run("usherctl", "explain", "tcp", f"{PUBLIC}:80", "--device", device, check=False)
            assert asked.returncode == status, asked.stdout
        machine.systemctl("restart", "usherd.service")
        settle(machine)


# ---- what systemd does with a second service on a socket unit


def test_trap_connection_during_the_hand_in(machine):
    """systemd starts the service for a connection only after the hand-in, which ends soon, with or without a broker."""
    web(machine)
    machine.systemctl("kill", "--signal=STOP", "usherd.service")
    machine.systemctl("start", "--no-block", "usher@web.service")
    wait_until(lambda: machine.state("usher@web.service") == "activating/start")
    answer = ask("192.0.2.1", 80)
    assert answer.name == "web"
    assert machine.state("web.service") == "active/running"
    assert machine.show("usher@web.service", "Result") != "success", "the broker did not answer"
    assert machine.state("web.socket") == "active/running"


def test_trap_failing_hand_in(machine):
    """However often the hand-in fails, the socket unit stays, and a connection starts the service."""
    web(machine)
    machine.run("rm", "/etc/usher/rules.d/web.rule")
    machine.systemctl("reload", "usherd.service")
    for _ in range(12):  # more than the usual start limit of 5
        assert machine.systemctl("start", "usher@web.service", check=False).returncode != 0
    assert machine.state("web.socket") == "active/listening"
    assert machine.show("usher@web.service", "Result") == "exit-code"
    assert any("there is no rule 'web'" in text for text in machine.messages("-u", "usher@web.service"))
    with machine.entered():
        assert who("127.0.0.2", 8080) == "web"
    rule(machine, "web", "Stream=80")
    machine.systemctl("reload", "usherd.service")
    machine.systemctl("start", "usher@web.service")
    assert who(PUBLIC, 80) == "web"


def test_trap_service_failing(machine):
    """As always, a socket unit ends if its own service fails too often. Then the port is refused, and not silent."""
    web(machine, run=["ExecStartPre=false"], limit=10)
    for _ in range(6):
        ask_or_none()
    wait_until(lambda: machine.state("web.socket") == "failed/failed")
    assert who(PUBLIC, 80) == REFUSED
    assert sockets(machine) == []


def ask_or_none():
    try:
        return ask(PUBLIC, 80, seconds=MOMENT)
    except OSError:
        return None


def test_trap_hand_in_while_the_service_runs(machine):
    """The socket unit listens again although its service runs, which is harmless."""
    web(machine)
    assert who(PUBLIC, 80) == "web"
    pid = machine.show("web.service", "MainPID")
    for _ in range(10):
        machine.systemctl("start", "usher@web.service")
        assert who(PUBLIC, 80) == "web"
    assert machine.show("web.service", "MainPID") == pid
    assert machine.show("web.service", "NRestarts") == "0"
    assert len(sockets(machine)) == 2


def test_no_remain_after_exit(machine):
    """With RemainAfterExit=, a connection would never start the service: this is why usher@ does not set it."""
    web(machine)
    assert machine.show("usher@web.service", "RemainAfterExit") == "no"
    unit(machine, "usher@web.service.d/trap.conf", "[Service]", "RemainAfterExit=yes")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "usher@web.service")
    assert ask_or_none() is None
    machine.systemctl("stop", "usher@web.service")
    wait_until(lambda: machine.state("web.service") == "active/running")


def test_broker_restarts_and_sockets_stay_as_they_are(machine):
    """What its service did to the socket lasts: the broker finds it in the kernel, and nothing is handed in again. After
    detach, it is."""
    web(machine)
    assert who(PUBLIC, 80) == "web"

    def is_blocking():
        pid = machine.show("web.service", "MainPID")
        text = (machine.root / f"proc/{pid}/fdinfo/3").read_text()
        return not int(text.split("flags:")[1].split()[0], 8) & os.O_NONBLOCK

    assert not is_blocking()
    before = len(machine.messages("-t", "usherctl"))
    for command in (["restart", "usherd.service"], ["kill", "--signal=KILL", "usherd.service"]):
        broker = machine.show("usherd.service", "MainPID")
        machine.systemctl(*command)
        wait_until(lambda: machine.state("usherd.service") == "active/running"
                   and machine.show("usherd.service", "MainPID") != broker)
        settle(machine)
        assert machine.state("usher-again@web.service") == "inactive/dead"
        assert not is_blocking() and who(PUBLIC, 80) == "web"
    assert len(machine.messages("-t", "usherctl")) == before
    machine.run("usherctl", "detach")
    machine.systemctl("start", "usherd.service")
    settle(machine)
    wait_until(lambda: len(machine.messages("-t", "usherctl")) > before, what="the sockets are handed in again")
    assert who(PUBLIC, 80) == "web"


@pytest.mark.parametrize("name", ["other", r"foo\x2dbar"])
def test_broker_restarts_and_the_unit_has_another_name(machine, name):
    """The name of a socket unit need not be that of the rule, and may have an escape: nothing is handed in again."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, name, PRIVATE, start="/usr/local/bin/answer web")
    machine.sh(f"sed -i s/FileDescriptorName=.*/FileDescriptorName=web/ '/etc/systemd/system/{name}.socket'")
    enable(machine, "usherd.service", f"{name}.socket", f"usher@{name}.service")
    assert who(PUBLIC, 80) == "web"
    before = len(machine.messages("-t", "usherctl"))
    machine.systemctl("restart", "usherd.service")
    settle(machine)
    assert len(machine.messages("-t", "usherctl")) == before and who(PUBLIC, 80) == "web"


def test_broker_is_not_there(machine):
    """A socket unit with usher@ works by itself if the broker cannot start. Once the broker starts, the hand-in follows."""
    rule(machine, "web", "Stream=80")
    service(machine, "web", PRIVATE)
    unit(machine, "usherd.service.d/wrong.conf", "[Service]", "CapabilityBoundingSet=")
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "usherd.service", "web.socket", "usher@web.service")
    machine.systemctl("start", "web.socket")
    settle(machine)
    assert machine.state("usher@web.service") == "failed/failed"
    with machine.entered():
        assert who("127.0.0.2", 8080) == "web"
    assert machine.state("web.socket") == "active/running"
    assert machine.state("usherd.service") != "active/running"
    machine.run("rm", "/etc/systemd/system/usherd.service.d/wrong.conf")
    machine.systemctl("daemon-reload")
    machine.systemctl("reset-failed", "usherd.service")
    machine.systemctl("start", "usherd.service")
    settle(machine)
    assert who(PUBLIC, 80) == "web"


# ---- restarting the socket unit itself


def test_restart_of_the_socket_unit(machine):
    """By default, systemd refuses to restart a socket unit whose service runs, and no client is refused meanwhile."""
    web(machine)
    load = Load((PUBLIC, 80), rate=1000)
    assert machine.systemctl("restart", "web.socket", check=False).returncode != 0
    results = load.finish()
    assert set(results) == {(0, "web")}, results


def test_restart_of_a_held_socket_unit(machine):
    """usher holds the socket, a second one is bound to the same address, and the kernel moves waiting connections to the
    second when the first closes: no client notices."""
    machine.write("/etc/sysctl.d/usher.conf", "net.ipv4.tcp_migrate_req = 1\n")
    machine.run("sysctl", "-q", "-p", "/etc/sysctl.d/usher.conf")
    unit(machine, "web.service.d/socket.conf", "[Unit]", "Requires=web.socket")
    unit(machine, "usher@web.service.d/hold.conf", "[Service]", "ExecStart=",
         "ExecStart=usherctl --timeout=4 hand-in --hold")
    web(machine, socket=["ReusePort=yes"])
    load = Load((PUBLIC, 80), (PUBLIC_V6, 80), rate=1000)
    for _ in range(4):  # of the five starts that systemd allows a socket unit in ten seconds
        machine.systemctl("restart", "web.socket")
        settle(machine)
    results = load.finish()
    assert set(results) == {(0, "web"), (1, "web")}, results
    assert len(sockets(machine)) == 2


def test_ten_instances_with_reuseport(machine):
    """Ten socket units with ReusePort=yes are one place of their name: while one of them is left, in whatever order the others
    are stopped, clients are served."""
    rule(machine, "web", "Stream=80")
    service(machine, "web", PRIVATE)
    unit(machine, "web@.socket", "[Socket]", f"ListenStream={PRIVATE}", "ReusePort=yes", "FileDescriptorName=web")
    unit(machine, "web@.service", "[Unit]", "Requires=web@%i.socket usherd.socket", "After=web@%i.socket usherd.socket", "[Service]",
         "Type=exec", "ExecStart=usherctl hand-in web -- /usr/local/bin/answer web")
    enable(machine, "usherd.service")
    machine.systemctl("start", *[f"web@{number}.service" for number in range(10)])
    wait_until(lambda: len(sockets(machine)) == 10, "ten sockets are handed in")
    assert {line[3] for line in sockets(machine)} == {"serving"}
    for number in (4, 0, 9, 7, 1, 8, 2, 6, 3):
        assert who(PUBLIC, 80) == "web"
        machine.systemctl("stop", f"web@{number}.service", f"web@{number}.socket")
    wait_until(lambda: len(sockets(machine)) == 1, "one is left")
    assert {who(PUBLIC, 80) for _ in range(20)} == {"web"}
    machine.systemctl("start", *[f"web@{number}.service" for number in range(10)])
    wait_until(lambda: len(sockets(machine)) == 10, "ten sockets are handed in again")
    assert {who(PUBLIC, 80) for _ in range(20)} == {"web"}
