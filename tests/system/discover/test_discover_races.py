# SPDX-License-Identifier: BSD-3-Clause
"""Anything can happen between the moment when usher-discover sees a socket and the moment when it has a duplicate.

strace stops the process that scans as it enters a system call, and the test changes something meanwhile.
"""

import os
import pathlib
import signal
import subprocess

import pytest

from harness.host import V4, WORK, rule
from harness.process import SLOW, Child, wait_until
from harness.service import ServiceProcess, make_socket
from harness.traffic import REFUSED, serves, who
from harness.wire import Monitor

OWNER, ATTACKER = 15000, 16000
WEB = rule("Stream=80", discover=["Socket=127.0.0.2:8080", f"User={OWNER}"])
CALLS = ["pidfd_open", "pidfd_getfd"]


@pytest.fixture
def held_back(both, discover):
    """held_back(call): start usher-discover, and stop it before its first call of that name. `moment()` returns when it is
    stopped there, `over()` when it is idle again."""

    class HeldBack:
        def __init__(self, call):
            self.broker = both(web=WEB, probe=rule("Stream=81", discover=["Socket=127.0.0.99:8099"]))
            self.monitor = Monitor(self.broker.socket)
            discover.settle()
            self._scanner = discover.scanner
            self._trace = WORK / "strace"
            self._strace = subprocess.Popen(
                ["strace", "-f", "-qq", "-p", str(self._scanner), "-o", str(self._trace), "-e",
                 f"trace={','.join(CALLS)}", "-e", f"inject={call}:delay_enter={int(500000 * SLOW)}:when=1"])
            wait_until(lambda: f"TracerPid:\t{self._strace.pid}\n" in
                       pathlib.Path(f"/proc/{self._scanner}/status").read_text(), what="strace is attached")
            # strace writes its line about a call only when the call returns, so look at the state of the process
            self._call = call

        def moment(self):
            number = {"pidfd_open": "434", "pidfd_getfd": "438"}[self._call]
            wait_until(lambda: pathlib.Path(f"/proc/{self._scanner}/syscall").read_text().split()[0] == number,
                       what=f"usher-discover enters {self._call}(2)")

        def over(self):
            with ServiceProcess("probe", address="127.0.0.99", port=8099):
                serves("probe", port=81)
            discover.settle()
            self._strace.send_signal(signal.SIGINT)
            self._strace.wait()
            return self._trace.read_text()

        def handed_in(self):
            return [(event.get("COOKIE"), event.get("UID")) for event in self.monitor.events("handed-in")
                    if event.get("NAME") == "web"]

    return HeldBack


def daemon(turns, uid=OWNER):
    """Start a process that listens on 127.0.0.2:8080, with the socket as descriptor 50, and calls `turns`. Returns the
    process, and a function that sends it the byte that `turns` waits for."""

    def run(tell, hear):
        sock = make_socket("tcp", "127.0.0.2", 8080)
        os.dup2(sock.fileno(), 50)
        sock.close()
        tell(True)
        turns(tell, hear)
        signal.pause()

    read, write = os.pipe()
    child = Child(lambda tell: run(tell, read), keep=[read], uid=uid, gid=uid)
    os.close(read)
    child.hear()
    return child, lambda: os.write(write, b"x")


@pytest.mark.parametrize("call", CALLS)
def test_exits(held_back, discover, call):
    """The daemon has ended when it is examined, so it is no candidate any more. The next one is served."""
    held = held_back(call)
    child, _ = daemon(lambda tell, hear: None)
    held.moment()
    child.kill()
    trace = held.over()
    assert held.handed_in() == []
    assert trace.count("pidfd_open") < 20, "it does not try for ever"
    assert who(V4, 80) == REFUSED
    ServiceProcess("web", port=8080, uid=OWNER, gid=OWNER)
    serves("web")


@pytest.mark.parametrize("other", ["listener", "file"])
def test_descriptor_is_used_again(held_back, other):
    """By the time it is duplicated, the descriptor is another, private socket of the same process. The cookie reveals that.
    The listener itself is found under its new number."""
    held = held_back("pidfd_getfd")

    def turns(tell, hear):
        os.read(hear, 1)
        os.dup2(50, 51)
        with (make_socket("tcp", "127.0.0.2", 9999) if other == "listener" else open("/dev/null")) as decoy:
            os.dup2(decoy.fileno(), 50)
        tell(True)

    child, go = daemon(turns)
    held.moment()
    go()
    child.hear()
    held.over()
    rows = held.broker.sockets("web")
    assert [row["ADDRESS"] for row in rows] == ["127.0.0.2:8080"], "the right one, and nothing else"
    assert [cookie for cookie, _ in held.handed_in()] == [rows[0]["COOKIE"]]


def test_listener_is_closed(held_back):
    """The same, but the listener is closed: nothing is handed in."""
    held = held_back("pidfd_getfd")

    def turns(tell, hear):
        os.read(hear, 1)
        decoy = make_socket("tcp", "127.0.0.2", 9999)
        os.dup2(decoy.fileno(), 50)
        tell(True)
        signal.pause()

    child, go = daemon(turns)
    held.moment()
    go()
    child.hear()
    trace = held.over()
    assert held.handed_in() == [] and held.broker.sockets("web") == []
    assert trace.count("pidfd_getfd") < 20


@pytest.mark.parametrize("call", CALLS)
def test_pid_is_used_again(held_back, discover, call):
    """The daemon ends, and an attacker gets its pid, address and descriptor number: nothing is handed in."""
    held = held_back(call)
    first, _ = daemon(lambda tell, hear: None)
    held.moment()
    first.kill()
    pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
    second, _ = daemon(lambda tell, hear: None, uid=ATTACKER)
    assert second.pid == first.pid, "the kernel reused the number"
    held.over()
    assert held.handed_in() == [] and held.broker.sockets("web") == []
    assert who(V4, 80) == REFUSED
    second.kill()
    ServiceProcess("web", port=8080, uid=OWNER, gid=OWNER)
    serves("web")


@pytest.mark.parametrize("call", CALLS)
def test_changes_its_user(held_back, call):
    """A process of root creates the socket and becomes an attacker's before the duplicate is taken: its user then counts."""
    held = held_back(call)

    def turns(tell, hear):
        os.read(hear, 1)
        os.setresuid(ATTACKER, ATTACKER, ATTACKER)
        tell(True)

    child, go = daemon(turns, uid=0)
    held.moment()
    go()
    child.hear()
    held.over()
    assert held.handed_in() == [] and held.broker.sockets("web") == []
