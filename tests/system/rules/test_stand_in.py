# SPDX-License-Identifier: BSD-3-Clause
"""`usherctl hand-in --stand-in`: a UDP service keeps its own socket, and another of its SO_REUSEPORT group is handed in"""

import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

from harness import legacy, observed
from harness.broker import USHERCTL, fails
from harness.diagnosed import Diagnosed
from harness.explained import explain
from harness.host import V4, V6, rule
from harness.legacy import resolve
from harness.process import MOMENT, PATIENCE, libc, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, SILENCE, ask, serves, who
from harness.wire import hand_in

pytestmark = pytest.mark.vm

PIDFD_GETFD, SO_ATTACH_REUSEPORT_CBPF = 438, 51
RULE = rule("Datagram=192.0.2.0/24:80", "Datagram=[2001:db8::/48]:80")

# Receives as many bytes as FIONREAD says, and looks at the sender with a receive of 0 bytes, as some real services do.
SERVICE = """
import array, fcntl, selectors, socket, sys, termios
address, members = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
selector = selectors.DefaultSelector()
for number in range(members):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(sys.argv[3]))
    sock.bind((address, 80))
    selector.register(sock, selectors.EVENT_READ, number)
while True:
    for key, _ in selector.select():
        size = array.array("i", [0])
        fcntl.ioctl(key.fileobj, termios.FIONREAD, size)
        _, _, _, client = key.fileobj.recvmsg(0, 0, socket.MSG_PEEK)
        data = key.fileobj.recv(size[0])
        if data and client:
            key.fileobj.sendto(b"member%d - 0 - %d\\n" % (key.data, len(data)), client)
"""


class Started:
    """The service, started by `usherctl hand-in` with a stand-in, or by nothing."""

    def __init__(self, *words, address="127.0.0.2", members=1, reuseport=1, name="web"):
        self.command = [sys.executable, "-c", SERVICE, address, str(members), str(reuseport)]
        if words:
            self.command = [USHERCTL, "hand-in", *words, name, "--", *self.command]
        self.address = address
        self.start()

    def start(self):
        self.process = subprocess.Popen([str(word) for word in self.command], stderr=subprocess.PIPE)

    def end(self):
        self.process.kill()
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()

    def socket(self):
        """A duplicate of the first socket that the process has open."""
        number, *_ = [int(path.name) for path in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()
                   if os.readlink(path).startswith("socket:")]
        process = os.pidfd_open(self.process.pid)
        try:
            return socket.socket(fileno=libc("syscall", PIDFD_GETFD, process, number, 0))
        finally:
            os.close(process)

    def complaint(self):
        """What it wrote when it failed."""
        _, text = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode
        return text.decode()


@pytest.mark.parametrize("address, target", [("127.0.0.2", V4), ("::1", V6)])
def test_service_that_asks_for_the_size(broker, address, target):
    """With a stand-in it works, at its private address too."""
    running = broker(web=RULE)
    endpoint = f"[{address}]:80" if ":" in address else f"{address}:80"
    with Started("--stand-in", endpoint, address=address):
        serves("member0", target, 80, "udp")
        for where in (target, address):
            assert {ask(where, 80, "udp").local_port for _ in range(20)} == {1}, "it got the datagram, of one byte"
        row, = running.sockets("web")
        assert (row["STATE"], row["VIA"], row["DESTINATION"]) == ("serving", "usherctl", "stand-in")
    wait_until(lambda: who(target, 80, "udp") == REFUSED)


def test_without_it_the_service_is_deaf(broker):
    """At its private address too, from the moment when its socket is handed in."""
    broker(web=RULE)
    with Started() as started:
        serves("member0", "127.0.0.2", 80, "udp")
        with started.socket() as sock:
            hand_in("web", sock)
        assert who(V4, 80, "udp", seconds=MOMENT) == SILENCE
        assert who("127.0.0.2", 80, "udp", seconds=MOMENT) == SILENCE


def test_members(broker):
    """Of several sockets of the service each gets its share, and a client stays with one."""
    broker(web=RULE)
    with Started("--stand-in", "127.0.0.2:80", "--members", "4", members=4):
        wait_until(lambda: {who(V4, 80, "udp", seconds=MOMENT) for _ in range(60)} ==
                   {f"member{number}" for number in range(4)})
        assert {who("127.0.0.2", 80, "udp") for _ in range(200)} == {f"member{number}" for number in range(4)}
        for port in range(40000, 40010):
            assert len({ask(V4, 80, "udp", source="127.0.0.9", source_port=port).name for _ in range(5)}) == 1


@pytest.mark.vm_long
@pytest.mark.parametrize("address, target", [("127.0.0.2", V4), ("::1", V6)])
def test_restarts(broker, address, target):
    """The stand-in closes with the service: clients are refused, not ignored, until the service is there again."""
    broker(web=RULE)
    endpoint = f"[{address}]:80" if ":" in address else f"{address}:80"
    with Started("--stand-in", endpoint, "--members=2", address=address, members=2) as started:
        for _ in range(4):
            wait_until(lambda: {who(target, 80, "udp", seconds=MOMENT) for _ in range(30)} == {"member0", "member1"})
            started.end()
            wait_until(lambda: who(target, 80, "udp") == REFUSED)
            started.start()


@pytest.mark.vm_long
def test_must_be_the_first(broker):
    """A stand-in that is not the first of its group would get datagrams that are lost, so that it is refused."""
    running = broker(web=RULE)
    with Service("first", "udp", "127.0.0.2", 80, reuseport=True):
        text = Started("--stand-in", "127.0.0.2:80").complaint()
        assert "another socket is bound there (EADDRINUSE)" in text and "ss -lunp" in text
    with Started("--stand-in", "127.0.0.2:80"):
        serves("member0", V4, 80, "udp")
        assert "EADDRINUSE" in Started("--stand-in", "127.0.0.2:80").complaint()
        assert who(V4, 80, "udp") == "member0"
        with Started("--stand-in", "127.0.0.3:80", address="127.0.0.3"):
            wait_until(lambda: len(running.sockets("web")) == 2)
            serves("member0", V4, 80, "udp")


def test_position_of_a_stand_in_that_is_the_last(broker):
    """Why it must be: the place of a member that closes is given to the last one."""
    broker(web=RULE)
    with Service("old", "udp", "127.0.0.2", 80, reuseport=True) as old:
        with make_socket("udp", "127.0.0.2", 80, reuseport=True) as last:
            observed.attach(last, SO_ATTACH_REUSEPORT_CBPF, 0)
            hand_in("web", last)
            assert {who(V4, 80, "udp") for _ in range(20)} == {"old"}
            old.close()
            with Service("new", "udp", "127.0.0.2", 80, reuseport=True):
                assert who(V4, 80, "udp", seconds=MOMENT) == SILENCE
                assert last.recv(10) == b"?"


@pytest.mark.vm_long
def test_service_without_reuseport(broker):
    """Its bind fails, and says so: nothing is served by halves."""
    broker(web=RULE)
    with Started("--stand-in", "127.0.0.2:80", reuseport=0) as started:
        assert "Address already in use" in started.complaint()
    wait_until(lambda: who(V4, 80, "udp") == REFUSED)


def test_doctor_and_journal(broker):
    """Neither warns of a socket that nobody reads, nor takes its options for those of the service."""
    running = broker(web=RULE)
    with Started("--stand-in", "127.0.0.2:80"):
        serves("member0", V4, 80, "udp")
        assert "FIONREAD" not in running.log and "0 bytes" not in running.log
        found = Diagnosed()
        [(result, text)] = found.of("udp-map")
        assert result == "ok" and ("stand-in" in text or "works as others do" in text), found.text
        [(result, text)] = found.of("udp-address")
        assert result == "warn" and "does not ask" in text, found.text
        [(result, text)] = found.of("stand-in")
        assert result == "ok" and "has another socket" in text, found.text
        found = explain(f"{V4}:80", "udp")
        assert found.code == 0 and "a socket of the service at 127.0.0.2:80, beside the stand-in of" in found.first


@pytest.mark.vm_long
def test_remedy_of_doctor(broker):
    """What doctor advises for a service that is handed in, with two sockets, serves it."""
    broker(web=RULE)
    with Started(members=2) as started:
        serves("member0", "127.0.0.2", 80, "udp")
        with started.socket() as sock:
            hand_in("web", sock)
        [remedy] = [row["remedy"] for row in Diagnosed().rows if row["check"] == "udp-map"]
    if not remedy:
        pytest.skip("machine: this kernel leaves FIONREAD alone")
    words = re.search(r"'usherctl hand-in (.*) web -- COMMAND'", remedy)[1].split()
    assert words == ["--stand-in=127.0.0.2:80", "--members=2"]
    with Started(*words, members=2):
        wait_until(lambda: {who(V4, 80, "udp", seconds=MOMENT) for _ in range(30)} == {"member0", "member1"})


@pytest.mark.vm_long
def test_stand_in_that_is_alone(broker):
    """What reaches it is dropped, and doctor and explain say so."""
    broker(web=RULE)
    running = subprocess.Popen([USHERCTL, "hand-in", "--stand-in=127.0.0.2:80", "web", "sleep", "600"])
    try:
        wait_until(lambda: who(V4, 80, "udp", seconds=MOMENT) == SILENCE)
        [(result, text)] = Diagnosed().of("stand-in")
        assert result == "warn" and f"alone at 127.0.0.2:80: its service (pid {running.pid})" in text
        found = explain(f"{V4}:80", "udp")
        assert found.code == 1 and "is lost: it is for 'web', and the stand-in at 127.0.0.2:80" in found.first
        found.because("stand-in", "datagrams are dropped", "bind 127.0.0.2:80 with SO_REUSEPORT")
    finally:
        running.kill()
        running.wait()
    wait_until(lambda: who(V4, 80, "udp") == REFUSED)
    assert Diagnosed().of("stand-in") == [("ok", "no stand-in is handed in")]


@pytest.mark.vm_long
def test_without_a_broker():
    """--if-broker: the service runs all the same, at its own address."""
    with Started("--if-broker", "--stand-in", "127.0.0.2:80"):
        serves("member0", "127.0.0.2", 80, "udp")


@pytest.mark.vm_long
def test_as_another_user(broker):
    """The stand-in needs no privilege. Its group is of one user, so that the service must run as that."""
    broker(web=rule("Datagram=8053", access=["User=nobody"]))
    words = [sys.executable, "-c", SERVICE.replace("(address, 80)", "(address, 8053)"), "127.0.0.2", "1", "1"]
    with subprocess.Popen([USHERCTL, "hand-in", "--stand-in=127.0.0.2:8053", "web", "--", *words], user="nobody",
                          extra_groups=[]) as started:
        serves("member0", V4, 8053, "udp")
        started.kill()


@pytest.mark.vm_long
def test_unbound(broker):
    """A resolver with two threads, unchanged, that answers from the address that was asked."""
    broker(dns=rule("Datagram=5300", access=["Bound=any"]))
    unbound = legacy.unbound(threads=2, before=[USHERCTL, "hand-in", "--stand-in=0.0.0.0:53", "--members=2", "dns", "--"])
    for _ in range(3):
        for _ in range(20):
            assert wait_until(lambda: resolve(V4, 5300)) == ("192.0.2.77", V4)
            assert wait_until(lambda: resolve("127.0.0.1", 53))[0] == "192.0.2.77"
        unbound.restart(wait=False)


@pytest.mark.vm_long
@pytest.mark.parametrize("words, said", [
    (["--stand-in=127.0.0.2", "web", "true"], "bad option --stand-in"),
    (["--stand-in=127.0.0.0/8:80", "web", "true"], "must be one address and one port"),
    (["--stand-in=127.0.0.2:80-81", "web", "true"], "must be one address and one port"),
    (["--stand-in=host:80", "web", "true"], "bad option --stand-in"),
    (["--stand-in=127.0.0.2:80", "web"], "give a NAME and a COMMAND"),
    (["--stand-in=127.0.0.2:80", "--hold", "web", "true"], "neither --fd, --hold nor --strict"),
    (["--stand-in=127.0.0.2:80", "--fd=3", "web", "true"], "neither --fd, --hold nor --strict"),
    (["--stand-in=127.0.0.2:80", "web=x", "true"], "give a NAME"),
    (["--members=2", "web", "true"], "give --stand-in too"),
    (["--stand-in=127.0.0.2:80", "--members=0", "web", "true"], "bad option --members '0'"),
    (["--stand-in=127.0.0.2:80", "--members=65", "web", "true"], "bad option --members '65'"),
])
def test_bad_lines(broker, words, said):
    broker(web=RULE)
    assert said in fails(2, "hand-in", *words)


@pytest.mark.vm_long
def test_address_of_another_host(broker):
    broker(web=RULE)
    assert "EADDRNOTAVAIL" in fails(1, "hand-in", "--stand-in=203.0.113.200:80", "web", "true")
