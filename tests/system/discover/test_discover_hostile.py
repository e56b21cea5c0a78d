# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover and the broker with a hostile neighbour: an ordinary user with a shell."""

import os
import random
import signal
import socket
import struct
import time

import pytest

from harness import wire
from harness.broker import USHERCTL
from harness.faults import failing
from harness.host import NOBODY, run
from harness.process import Child, wait_until
from harness.service import ServiceProcess, make_socket
from harness.traffic import REFUSED, who


RULE = """[Rule]
Stream=80
Datagram=80
[Discover]
Socket=127.0.0.2:8080
"""


def listen_without_end(tell, protocol):
    tell("begins")
    while True:
        make_socket(protocol, "127.0.0.3", 8080, backlog=1).close()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_flood_of_listeners(broker, discover, protocol):
    """Strangers that listen and close in a loop do not keep a daemon from being found."""
    running = broker(web=RULE)
    discover.start()
    strangers = [Child(listen_without_end, protocol, uid=NOBODY, gid=NOBODY) for _ in range(3)]
    for stranger in strangers:
        assert stranger.hear() == "begins"
    for i in range(5):
        daemon = ServiceProcess("web")
        wait_until(lambda: running.sockets("web"), f"listener {i} is handed in")
        daemon.kill()
        wait_until(lambda: not running.sockets("web"))


def test_what_others_ask_and_miss(broker, discover):
    """Refusals of strangers' requests, and packets without a socket, do not wake usher-discover."""
    running = broker(web=RULE)
    discover.start()
    discover.settle()
    before = discover.switches()

    def ask(tell):
        for _ in range(1000):
            with pytest.raises(wire.Refused):
                wire.request("withdraw", NAME="nothing")

    Child(ask, uid=NOBODY, gid=NOBODY).result()
    assert who("192.0.2.1", 80) == REFUSED
    wait_until(lambda: "a connection from" in running.log)
    assert discover.switches() == before
    daemon = ServiceProcess("web")
    wait_until(lambda: running.sockets("web"))
    daemon.kill()


TRIES = 30


def lingering(n):
    """Connections whose close(2) waits for ten hours, as the peers never read; and the listener that keeps these."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    listener.bind(("127.0.0.77", 0))
    listener.listen(4096)
    connections = []
    for _ in range(n):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2304)
        connection.connect(listener.getsockname())
        connection.setblocking(False)
        try:
            while True:
                connection.send(bytes(65536))
        except BlockingIOError:
            pass
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 36000))
        connections.append(connection)
    return connections, listener


def close_lingering(connections):
    """Cause a scan, and close the connections in the midst of it. Those that the scan does not look at keep this process
    until it is killed."""
    listener = make_socket("tcp", "127.0.0.3", 8080, listen=False)
    numbers = sorted(connection.detach() for connection in connections)
    end = time.monotonic() + random.uniform(0, 0.0015)
    listener.listen(1)
    while time.monotonic() < end:
        pass
    os.closerange(numbers[0], numbers[-1] + 1)
    signal.pause()


def linger_without_end(tell, n, tries):
    """The listeners, whose queues have the peers, live on here."""
    kept = []
    for number in range(tries):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            connections, listener = lingering(n)
            socket.send_fds(theirs, [b"x"], [listener.fileno()])
            listener.close()
            close_lingering(connections)
        kept += socket.recv_fds(ours, 1, 1)[1]
        time.sleep(0.05)  # not a wait for anything: it lets the scan meet the connections, or miss them
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        tell(number)
    signal.pause()


@pytest.mark.parametrize("way", ["iterator", "proc"])
@pytest.mark.seconds(180)
def test_lingering_connections_close_during_scans(broker, discover, way):
    """A stranger closes connections that linger while a scan looks at them: the reference of the scan is the last one,
    and to give it up takes as long as the stranger likes. usher-discover goes on finding daemons."""
    running = broker(web=RULE)
    discover.start(prefix=("setpriv", "--bounding-set", "-perfmon,-sys_admin,-bpf") if way == "proc" else ())
    daemon = ServiceProcess("web")  # or there would be nothing to look for in processes
    wait_until(lambda: running.sockets("web"))
    stranger = Child(linger_without_end, 1000, TRIES, uid=NOBODY, gid=NOBODY)
    for number in range(TRIES):
        assert stranger.hear() == number
    daemon.kill()
    wait_until(lambda: not running.sockets("web"))
    daemon = ServiceProcess("web")
    wait_until(lambda: running.sockets("web"), "another daemon is found")
    discover.stop()


@pytest.mark.seconds(120)
def test_scan_that_does_not_end(broker, discover):
    """A scan that makes no progress is given up, and the next one is made by another process."""
    running = broker(web=RULE)
    discover.start()
    discover.settle()
    held = discover.scanner
    os.kill(held, signal.SIGSTOP)
    daemon = ServiceProcess("web")
    wait_until(lambda: running.sockets("web"), "a daemon is found by another process")
    assert discover.wait_said("a scan was given up after .*killed so far: 1")
    assert discover.scanner != held
    daemon.kill()
    wait_until(lambda: not running.sockets("web"))


def test_reload_while_a_scan_does_not_end(broker, discover, rules):
    """The event loop goes on meanwhile: a reload has its effect at once, with a process of its own."""
    running = broker(web=RULE)
    discover.start()
    discover.settle()
    os.kill(discover.scanner, signal.SIGSTOP)
    daemon = ServiceProcess("web")
    rules(web=RULE)
    discover.process.send_signal(signal.SIGHUP)
    wait_until(lambda: running.sockets("web"), "the daemon is found with the rules read again")
    assert not discover.said("given up")
    daemon.kill()


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_scanner_cannot_be_started(broker, discover, error):
    """As with TasksMax= of the unit: usher-discover says so, and scans when it is over."""
    running = broker(web=RULE)
    discover.start()
    discover.settle()
    with failing(discover.pid, "clone,clone3,fork,vfork", f"error={error}"):
        os.kill(discover.scanner, signal.SIGKILL)
        daemon = ServiceProcess("web")
        assert discover.wait_said(f"cannot start a process that scans \\({error}\\)")
        assert not running.sockets("web")
    wait_until(lambda: running.sockets("web"), "the daemon is found")
    daemon.kill()


@pytest.mark.seconds(120)
def test_scanners_that_cannot_end(broker, discover):
    """Eight processes that scan are where no SIGKILL reaches them: usher-discover says so, makes no further one, and goes on
    when one of them has ended."""
    running = broker(web=RULE)
    discover.start()
    discover.settle()
    seen = []
    with failing(discover.pid, "pidfd_send_signal", "retval=0"):
        for number in range(8):
            wait_until(lambda: len(discover.scanners()) == number + 1)
            seen += set(discover.scanners()) - set(seen)
            os.kill(seen[-1], signal.SIGSTOP)
            discover.hang_up()  # the next scan has another process
        assert discover.wait_said("8 processes that scanned were killed and cannot end")
    daemon = ServiceProcess("web")
    discover.hang_up()
    assert sorted(discover.scanners()) == sorted(seen) and not running.sockets("web")
    assert len(discover.said("cannot end")) == 1
    os.kill(seen[3], signal.SIGKILL)
    wait_until(lambda: running.sockets("web"), "the daemon is found")
    for pid in set(seen) - {seen[3]}:
        os.kill(pid, signal.SIGKILL)
    daemon.kill()


def test_scanner_is_confined(both, discover):
    """The process that scans keeps the capabilities that it needs, has no descriptor of usher-discover's event loop, and
    ends with it."""
    both(web=RULE)
    discover.settle()
    scanner = discover.scanner
    with open(f"/proc/{scanner}/status") as status:
        fields = dict(line.split(":\t", 1) for line in status)
    needed = sum(1 << number for number in (2, 19, 38, 39))  # DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF
    assert not int(fields["CapEff"], 16) & ~needed and not int(fields["CapPrm"], 16) & ~needed
    links = [os.readlink(f"/proc/{scanner}/fd/{fd}") for fd in os.listdir(f"/proc/{scanner}/fd")]
    assert sum(link.startswith("socket:") for link in links if link != os.readlink(f"/proc/{discover.pid}/fd/2")) == 1, links
    assert not any("bpf_link" in link for link in links), links
    os.kill(discover.pid, signal.SIGKILL)
    discover.process.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{scanner}") or open(f"/proc/{scanner}/stat").read().split()[2] == "Z")


MANY = 40


@pytest.mark.parametrize("limit", ["soft", "hard"])
def test_more_sockets_than_descriptors(broker, discover, rules, limit):
    """The soft limit of descriptors is raised; where the hard one is too low for all sockets at once, each rule gets its
    turn. Every socket is handed in."""
    running = broker(**{f"n{i}": f"[Rule]\nStream={9000 + i}\n[Discover]\nSocket=127.0.0.2:{9000 + i}\n" for i in range(MANY)})

    def serve(tell):
        sockets = [make_socket("tcp", "127.0.0.2", 9000 + i) for i in range(MANY)]
        tell(len(sockets))
        signal.pause()

    daemon = Child(serve)
    assert daemon.hear() == MANY
    discover.start(**({"prefix": ("prlimit", "--nofile=48:4096")} if limit == "soft" else {"nofile": 48}))
    wait_until(lambda: len(running.sockets()) == MANY, f"{MANY} sockets are handed in")
    assert not discover.said("EMFILE")


def test_usherctl_finds_more_than_its_soft_limit(broker):
    """`usherctl discover` raises the soft limit of descriptors as well."""
    running = broker(**{f"n{i}": f"[Rule]\nStream={9000 + i}\n[Discover]\nSocket=127.0.0.2:{9000 + i}\n" for i in range(MANY)})
    sockets = [make_socket("tcp", "127.0.0.2", 9000 + i) for i in range(MANY)]

    def keep(tell):
        tell(len(sockets))
        signal.pause()

    daemon = Child(keep, keep=[sock.fileno() for sock in sockets])
    assert daemon.hear() == MANY
    for sock in sockets:
        sock.close()
    run("prlimit", "--nofile=48:4096", USHERCTL, "discover")
    assert len(running.sockets()) == MANY
