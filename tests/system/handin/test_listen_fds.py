# SPDX-License-Identifier: BSD-3-Clause
"""`usherctl hand-in` with $LISTEN_FDS, $LISTEN_PID and $LISTEN_FDNAMES from a service manager.

Names are missing or empty, there are no descriptors, a closed one, one that is not a socket, or several; and usherctl
executes a command.
"""

import os
import sys

import pytest

from harness.broker import USHERCTL
from harness.host import V4, run
from harness.service import make_socket
from harness.traffic import REFUSED, who


# executes usherctl with the given descriptors as 3, 4, ... and the given environment; PID is replaced by its pid
STARTER = """
import os, sys
fds = [int(word) for word in sys.argv[1].split(",") if word]
copies = [os.dup(fd) for fd in fds]  # away from where they are to be
for number, fd in enumerate(copies):
    high = os.dup2(fd, 100 + number)
for number in range(len(fds)):
    os.dup2(100 + number, 3 + number)
os.closerange(3 + len(fds), 200)
for word in sys.argv[2].split("|"):
    key, _, value = word.partition("=")
    if key:
        os.environ[key] = value.replace("PID", str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


def pass_on(sockets, environment, *words):
    fds = [sock if isinstance(sock, int) else sock.fileno() for sock in sockets]
    return run("/usr/bin/python3", "-c", STARTER, ",".join(map(str, fds)), environment, USHERCTL, *words, pass_fds=fds,
               check=False)


@pytest.fixture
def two():
    return [make_socket("tcp", "127.0.0.2", port) for port in (8001, 8002)]


GOOD = {
    # the environment, the words of usherctl, and the names that then have a socket
    "name": ("LISTEN_FDS=1|LISTEN_PID=PID", ["hand-in", "web"], 1, {"web": 1}),
    "two-for-one-name": ("LISTEN_FDS=2|LISTEN_PID=PID", ["hand-in", "web"], 2, {"web": 2}),
    "names": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:shop", ["hand-in"], 2, {"web": 1, "shop": 1}),
    "names-twice": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:web", ["hand-in"], 2, {"web": 2}),
    "name-beats-names": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=unknown", ["hand-in", "web"], 1, {"web": 1}),
}


@pytest.mark.parametrize("case", GOOD)
def test_good(broker, two, case):
    environment, words, n, expected = GOOD[case]
    running = broker(web="Stream=80", shop="Stream=81")
    done = pass_on(two[:n], environment, *words)
    assert done.returncode == 0, done.stderr
    found = {}
    for row in running.sockets():
        found[row["NAME"]] = found.get(row["NAME"], 0) + 1
    assert found == expected


BAD = {
    "nothing-passed": ("", ["hand-in", "web"], 1, "LISTEN_FDS"),
    "none": ("LISTEN_FDS=0|LISTEN_PID=PID", ["hand-in", "web"], 1, "LISTEN_FDS"),
    "empty": ("LISTEN_FDS=|LISTEN_PID=PID", ["hand-in", "web"], 1, "LISTEN_FDS"),
    "not-a-number": ("LISTEN_FDS=one|LISTEN_PID=PID", ["hand-in", "web"], 1, "LISTEN_FDS"),
    "negative": ("LISTEN_FDS=-1|LISTEN_PID=PID", ["hand-in", "web"], 1, "LISTEN_FDS"),
    "huge": ("LISTEN_FDS=4294967297|LISTEN_PID=PID", ["hand-in", "web"], 1, "LISTEN_FDS"),
    "somebody-elses": ("LISTEN_FDS=1|LISTEN_PID=1", ["hand-in", "web"], 1, "meant for process 1"),
    "no-pid": ("LISTEN_FDS=1", ["hand-in", "web"], 1, "LISTEN_PID"),
    "descriptor-unused": ("LISTEN_FDS=3|LISTEN_PID=PID", ["hand-in", "web"], 2, "5"),
    "no-names": ("LISTEN_FDS=1|LISTEN_PID=PID", ["hand-in"], 1, "LISTEN_FDNAMES|name"),
    "too-few-names": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web", ["hand-in"], 2, "LISTEN_FDNAMES"),
    "too-many-names": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=web:shop", ["hand-in"], 1, "LISTEN_FDNAMES"),
    "empty-name": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:", ["hand-in"], 2, "LISTEN_FDNAMES|name"),
    "name-of-systemd-for-nameless": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=unknown", ["hand-in"], 1, "unknown"),
    "name-without-a-rule": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:other", ["hand-in"], 2, "other"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad(broker, two, case):
    """usherctl fails with a message, hands nothing in, and does not execute the command."""
    environment, words, n, match = BAD[case]
    running = broker(web="Stream=80", shop="Stream=81")
    done = pass_on(two[:n], environment, *words, "--", "echo", "started")
    assert done.returncode not in (0, 3), done.stdout
    assert any(word in done.stderr for word in match.split("|")), done.stderr
    assert "started" not in done.stdout
    assert running.sockets() == [] and who(V4, 80) == REFUSED


def test_not_a_socket(broker):
    running = broker(web="Stream=80")
    null = os.open("/dev/null", os.O_RDWR)
    done = pass_on([null], "LISTEN_FDS=1|LISTEN_PID=PID", "hand-in", "web")
    assert done.returncode == 1 and "socket" in done.stderr and "3" in done.stderr
    assert running.sockets() == []


def test_command_gets_what_was_passed(broker, two):
    """hand-in does not change the variables, and the descriptors are the same sockets."""
    broker(web="Stream=80")
    script = "import os; print(os.environ['LISTEN_FDS'], os.environ['LISTEN_PID'] == str(os.getpid()), os.fstat(3).st_ino)"
    done = pass_on(two[:1], "LISTEN_FDS=1|LISTEN_PID=PID", "hand-in", "web", "--", sys.executable, "-c", script)
    assert done.stdout.split() == ["1", "True", str(os.fstat(two[0].fileno()).st_ino)], done.stderr
