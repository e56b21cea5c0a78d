# SPDX-License-Identifier: BSD-3-Clause
"""Things that change during a scan: processes end, pids and descriptors are reused.

A scan gives up on sockets that keep changing, and never accepts another socket in place of the wanted one.

strace stops the scan at a system call, and the test changes something meanwhile. tests/system/programs/scan.c
asserts by the cookie that an accepted socket is the one of the dump.
"""

import contextlib
import ctypes
import errno
import os
import pathlib
import random
import signal
import socket
import time

import pytest

from harness import process
from harness.host import WORK
from harness.process import Child, wait_until
from harness.scan import Owner, cookie_of, discover_rule, parse, scans, start
from harness.service import make_socket

RIGHTFUL, STRANGER = 1201, 1202
CLONE3 = 435
AT = 60  # the number of the descriptor

# The call of the scan after which it stops
SEEN = ("poll", 1)  # the owner has been read
HELD = ("poll", 2)  # and once more, with a pidfd, to take the socket
TAKEN = ("pidfd_getfd", 1)
LISTED = ("recvmsg", 1)
HELD_TO_SEE = ("pidfd_open", 1)
HELD_TO_TAKE = ("pidfd_open", 2)


def spell(where):
    return "-".join(map(str, where))


@contextlib.contextmanager
def stopped(where):
    """Start a scan that stops at this point, and continues at the end of the block. `rows` are its output then."""
    log = WORK / "strace"
    call, when = where
    run = start(["strace", "-o", log, "-e", f"inject={call}:signal=STOP:when={when}"])
    try:
        wait_until(lambda: log.exists() and "--- stopped by SIGSTOP" in log.read_text(), what=f"scan stops at {call}")
        result = []
        yield result
        children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGCONT)
        output = run.communicate(timeout=process.PATIENCE)[0]
        assert run.returncode == 0, log.read_text()[-2000:]
        result += parse(output)[-1].rows
    finally:
        run.kill()
        run.wait()


def obedient(port=8080, uid=None):
    """A process that listens with descriptor AT and obeys signals: SIGUSR1 puts another socket there."""

    def at(sock):
        os.dup2(sock.fileno(), AT)
        sock.close()
        return socket.socket(fileno=AT)

    def obey(tell, made):
        def put_another(*unused):
            with socket.socket(socket.AF_UNIX) as secret:
                os.dup2(secret.fileno(), AT)
            tell("closed")

        def listen_again(*unused):
            sock = at(make_socket("tcp", "127.0.0.2", port))
            tell(cookie_of(sock))
            sock.detach()

        def become_another(*unused):
            os.setresuid(STRANGER, STRANGER, STRANGER)
            tell("changed")

        signal.signal(signal.SIGUSR1, put_another)
        signal.signal(signal.SIGUSR2, listen_again)
        signal.signal(signal.SIGHUP, become_another)
        made[0].detach()
        tell("ready")

    owner = Owner(lambda: [at(make_socket("tcp", "127.0.0.2", port))], uid=uid, then=obey)
    assert owner.hear() == "ready"
    return owner


def tell(owner, number):
    owner.signal(number)
    return owner.hear()


class SamePid:
    """A new process with the pid of one that has ended (clone3, set_tid). It runs a function and waits."""

    def __init__(self, pid, function):
        class Arguments(ctypes.Structure):
            _fields_ = [(name, ctypes.c_uint64) for name in (
                "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size".split())]

        wanted = (ctypes.c_int * 1)(pid)
        arguments = Arguments(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(wanted), set_tid_size=1)
        read, write = os.pipe()
        self.pid = ctypes.PyDLL(None, use_errno=True).syscall(CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
        if self.pid == 0:
            try:
                process.libc("prctl", process.PR_SET_PDEATHSIG, signal.SIGKILL)
                function()
                os.write(write, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(write)
        assert self.pid == pid, os.strerror(ctypes.get_errno())
        assert os.read(read, 1) == b"x"
        os.close(read)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("where", [LISTED, HELD_TO_SEE, SEEN, HELD_TO_TAKE, HELD, TAKEN], ids=spell)
def test_exit(where):
    """The owner ends, and so does its socket: there is nothing to accept, and nothing to report."""
    discover_rule("web", "127.0.0.2:8080")
    owner = obedient()
    with stopped(where) as rows:
        owner.kill()
    assert rows == []


@pytest.mark.parametrize("where", [LISTED, SEEN, HELD], ids=spell)
def test_number_of_the_descriptor_is_used_again(where):
    discover_rule("web", "127.0.0.2:8080")
    owner = obedient()
    with stopped(where) as rows:
        assert tell(owner, signal.SIGUSR1) == "closed"
    assert rows == []


@pytest.mark.parametrize("where", [SEEN, HELD], ids=spell)
def test_listens_again_with_the_same_number(where):
    """The process, address and number are the same, but the socket is a new one: the new one is taken."""
    discover_rule("web", "127.0.0.2:8080")
    owner = obedient()
    with stopped(where) as rows:
        tell(owner, signal.SIGUSR1)
        cookie = tell(owner, signal.SIGUSR2)
    assert [(row.accepted, row.cookie) for row in rows] == [(True, cookie)] and cookie != owner.cookie


@pytest.mark.parametrize("where", [LISTED, HELD_TO_SEE, SEEN, HELD_TO_TAKE, HELD], ids=spell)
def test_pid_is_used_again(where):
    """The pid is reused by a stranger, who has a socket at the same address with the same number."""
    discover_rule("web", "127.0.0.2:8080", User=RIGHTFUL)
    owner = obedient(uid=RIGHTFUL)

    def take_the_place():
        os.setresuid(STRANGER, STRANGER, STRANGER)
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            os.dup2(sock.fileno(), AT)

    with stopped(where) as rows:
        owner.kill()
        another = SamePid(owner.pid, take_the_place)
    assert [(row.accepted, row.error, row.uid) for row in rows] == [(False, errno.EACCES, STRANGER)], rows
    assert rows[0].pid == owner.pid
    another.kill()


@pytest.mark.parametrize("where", [SEEN, HELD_TO_TAKE], ids=spell)
def test_becomes_another_user(where):
    discover_rule("web", "127.0.0.2:8080", User=RIGHTFUL)
    owner = obedient()
    with stopped(where) as rows:
        tell(owner, signal.SIGHUP)
    assert [(row.accepted, row.error) for row in rows] == [(False, errno.EACCES)]
    assert f"uid {STRANGER}" in rows[0].text


@pytest.mark.parametrize("error", ["EBADF", "ESRCH"])
def test_never_at_rest(error):
    """The scan tries four times, and not for ever."""
    discover_rule("web", "127.0.0.2:8080")
    Owner(("tcp", "127.0.0.2", 8080))
    log = WORK / "strace"
    row, = scans(["strace", "-o", log, "-e", f"inject=pidfd_getfd:error={error}"])[-1].rows
    assert not row.accepted and row.error == errno.EAGAIN and "4 times" in row.text
    assert log.read_text().count("pidfd_getfd(") == 4


def test_nobody_is_looked_for_twice():
    discover_rule("web", "127.0.0.2:8080")
    sock, ends = make_socket("tcp", "127.0.0.2", 8080), socket.socketpair()
    socket.send_fds(ends[0], [b"x"], [sock.fileno()])
    sock.close()
    log = WORK / "strace"
    row, = scans(["strace", "-o", log, "-e", "trace=openat"])[-1].rows
    assert row.error == errno.ESRCH
    assert log.read_text().count('"/proc", O_RDONLY') == 2


# ---- Random changes --------------------------------------------------------------------------------------------------

def start_and_end(tell, seed):
    """Daemons come and go, on one address or another."""
    random.seed(seed)
    while True:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                sock = make_socket("tcp", "127.0.0.2" if seed % 2 else f"127.0.1.{seed}", 8080, reuseport=True)
                time.sleep(random.random() / 100)
                sock.close()
            os._exit(0)
        os.waitpid(pid, 0)


def shuffle(tell, seed):
    """The number of a listening descriptor refers to one socket, then to another, then to none."""
    random.seed(seed)
    while True:
        sock = make_socket("tcp", f"127.0.2.{seed}", random.choice([8080, 8080, 8081]), reuseport=True)
        os.dup2(sock.fileno(), AT)
        sock.close()
        time.sleep(random.random() / 500)
        if random.random() < 0.5:
            os.close(AT)


def test_turmoil():
    """Every accepted socket is the one that was listed (scan.c asserts that), with its owner. Nothing is left open."""
    discover_rule("web", "127.0.0.0/8:8080")
    discover_rule("own", "127.0.2.1:8080")
    churn = [Child(start_and_end, seed) for seed in range(4)] + [Child(shuffle, seed) for seed in (1, 2)]
    done = scans(times=200, options={"timeout": 2 * process.PATIENCE})
    assert len(done) == 200
    assert max(found.descriptors for found in done) == done[0].descriptors
    rows = [row for found in done for row in found.rows]
    assert {row.error for row in rows} <= {0, errno.ENOTUNIQ, errno.EAGAIN, errno.ESRCH}, {row.text for row in rows}
    assert any(row.accepted for row in rows) and any(not row.accepted for row in rows)
    assert all(row.pid == churn[4].pid for row in rows if row.name == "own" and row.accepted)
