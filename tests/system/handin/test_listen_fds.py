# SPDX-License-Identifier: BSD-3-Clause
"""`usherctl hand-in` with $LISTEN_FDS, $LISTEN_PID and $LISTEN_FDNAMES from a service manager.

Names are missing or empty, there are no descriptors, a closed one, one that is not a socket, or several; and usherctl
executes a command.
"""

import json
import os
import socket
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
    "name-without-a-rule": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:other", ["hand-in"], 2, {"web": 1}),
    "name-that-no-rule-can-have": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:", ["hand-in"], 2, {"web": 1}),
    "chosen": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=admin:http", ["hand-in", "web=http"], 2, {"web": 1}),
    "two-chosen": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=x:y", ["hand-in", "web=y", "shop=x"], 2,
                   {"web": 1, "shop": 1}),
    "two-names-for-one": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=x", ["hand-in", "web=x", "shop=x"], 1,
                          {"web": 1, "shop": 1}),
    "strict": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:shop", ["hand-in", "--strict"], 2, {"web": 1, "shop": 1}),
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
    "empty-name": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=:", ["hand-in"], 2, "LISTEN_FDNAMES|name"),
    "empty-name-strict": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:", ["hand-in", "--strict"], 2, "--strict"),
    "name-of-systemd-for-nameless": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=unknown", ["hand-in"], 1, "unknown"),
    "names-without-a-rule": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=one:other", ["hand-in"], 2, "there is no rule 'one'"),
    "name-without-a-rule-strict": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:other", ["hand-in", "--strict"], 2,
                                   "there is no rule 'other'"),
    "several-names": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=http:admin", ["hand-in", "web"], 2, "web=FDNAME"),
    "several-names-one-chosen": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:admin", ["hand-in", "web"], 2, "web=FDNAME"),
    "no-such-name": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=http:admin", ["hand-in", "web=www"], 2, "there are 'http', 'admin'"),
    "chosen-without-a-rule": ("LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=http:admin", ["hand-in", "other=http"], 2,
                              "there is no rule 'other'"),
    "nameless-socket-unit": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=web.socket", ["hand-in"], 1,
                             "set FileDescriptorName=web in web.socket"),
    "nameless-socket-unit-and-no-rule": ("LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=mail.socket", ["hand-in"], 1,
                                         "set it to the name of the rule and restart mail.socket"),
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


def other_sockets(path):
    """What a service may have besides, with the reason why it is left: (name, socket, reason)"""
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen()
    listener = make_socket("tcp", "127.0.0.9", 8100)
    connection = socket.create_connection(("127.0.0.9", 8100))
    bound = socket.socket()
    bound.bind(("127.0.0.9", 0))
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.connect(("127.0.0.9", 8100))
    public = make_socket("tcp", "0.0.0.0", 8101)
    six = make_socket("tcp", "::1", 8102)
    return [("web", unix, "a Unix socket"), ("web", connection, "a TCP connection"), ("web", bound, "does not listen"),
            ("stored", datagram, "a connected UDP socket"), ("web", os.open("/dev/null", os.O_RDWR), "not a socket"),
            ("web", public, "it is bound to 0.0.0.0:8101, outside of Bound="), ("admin", listener, "there is no rule 'admin'"),
            ("web", six, "has no match for that"), ("admin.socket", listener, "FileDescriptorName= is missing there or invalid"),
            ("a b", listener, "a rule cannot have this name"), ("x" * 200, listener, "a rule cannot have this name")]


@pytest.mark.parametrize("order", [1, -1])
def test_the_rest_is_left_to_the_service(broker, two, tmp_path, order):
    """Whatever comes along, in whatever order: the socket of the rule is handed in, everything stays with the command."""
    running = broker(web="Stream=0.0.0.0/0:80")
    passed = [("web", two[0], None), *other_sockets(tmp_path / "s")][::order]
    names = ":".join(name for name, _, _ in passed)
    environment = f"LISTEN_FDS={len(passed)}|LISTEN_PID=PID|LISTEN_FDNAMES={names}"
    inodes = [os.fstat(fd if isinstance(fd, int) else fd.fileno()).st_ino for _, fd, _ in passed]
    script = "import os; print(os.environ['LISTEN_FDNAMES'], *[os.fstat(3 + i).st_ino for i in range(int(os.environ['LISTEN_FDS']))])"
    done = pass_on([fd for _, fd, _ in passed], environment, "hand-in", "--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == " ".join([names, *map(str, inodes)]) + "\n"
    assert [row["ADDRESS"] for row in running.sockets()] == ["127.0.0.2:8001"]
    for number, (name, _, reason) in enumerate(passed, 3):
        line = next((line for line in done.stderr.splitlines() if f"descriptor {number} '{name}'" in line), "")
        assert not line if reason is None else f"is left to the service: {reason}" in line or reason in line, (line, reason)
    # with --strict, none of it
    done = pass_on([fd for _, fd, _ in passed], environment, "hand-in", "--strict", "--", "echo", "started")
    assert done.returncode == 1 and not done.stdout, done


def test_left_alike_share_a_line(broker, two):
    """A store with many descriptors is a line, and not one of the limits."""
    broker(web="Stream=80")
    pipes = [end for _ in range(100) for end in os.pipe()]
    names = ":".join(["web"] + ["stored"] * len(pipes))
    done = pass_on([two[0], *pipes], f"LISTEN_FDS={1 + len(pipes)}|LISTEN_PID=PID|LISTEN_FDNAMES={names}", "hand-in")
    assert done.returncode == 0
    assert done.stderr == "usherctl: descriptors 4 to 203 'stored' are left to the service: not a socket\n"


def test_first_serves(broker, two):
    """The first socket of a name serves, also when another one of the name is refused."""
    running = broker(web="Stream=80")
    public = make_socket("tcp", "0.0.0.0", 8101)
    done = pass_on([two[0], public, two[1]], "LISTEN_FDS=3|LISTEN_PID=PID|LISTEN_FDNAMES=web:web:web", "hand-in")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "handed in 'web:web': 2 added, 0 kept\n"
    assert [row["ADDRESS"] for row in running.sockets()] == ["127.0.0.2:8001", "127.0.0.2:8002"]


def test_not_reported_as_refused(broker, two):
    """A name without a rule beside others is as it should be: doctor and the journal do not report a refusal."""
    running = broker(web="Stream=80")
    done = pass_on(two, "LISTEN_FDS=2|LISTEN_PID=PID|LISTEN_FDNAMES=web:admin", "hand-in", "--json")
    answer = json.loads(done.stdout)
    assert (answer["added"], [(left["descriptor"], left["name"]) for left in answer["left"]]) == (1, [(4, "admin")])
    refused = running.status()["HAND_INS_REFUSED"]
    assert refused.split() and all(word.endswith(":0") for word in refused.split()), refused


LISTENED = "import os; print(os.environ['LISTEN_FDS'], os.environ['LISTEN_FDNAMES'], os.environ['LISTEN_PID'] == str(os.getpid()), " \
           "*[os.readlink(f'/proc/self/fd/{i}') for i in range(3 + int(os.environ['LISTEN_FDS']))])"


def test_bridge(broker, two):
    """--listen-fds moves standard input to where sd_listen_fds() looks, after what is there already."""
    running = broker(web="Stream=80", shop="Stream=81")
    command = ["hand-in", "web", "--fd", "0", "--listen-fds", "--", sys.executable, "-c", LISTENED]
    sock = f"socket:[{os.fstat(two[0].fileno()).st_ino}]"
    done = run(USHERCTL, *command, stdin=two[0], check=False)
    assert done.stdout.split()[:5] == ["1", "web", "True", "/dev/null", done.stdout.split()[4]], done.stderr
    assert done.stdout.split()[-1] == sock
    assert [row["NAME"] for row in running.sockets()] == ["web"]
    done = run("/usr/bin/python3", "-c", STARTER, str(two[1].fileno()), "LISTEN_FDS=1|LISTEN_PID=PID|LISTEN_FDNAMES=shop", USHERCTL,
               *command, stdin=two[0], pass_fds=[two[1].fileno()], check=False)
    assert done.stdout.split()[:3] == ["2", "shop:web", "True"] and done.stdout.split()[-1] == sock, done


def test_bridge_needs_the_number(broker, two):
    broker(web="Stream=80")
    done = run("sh", "-c", 'exec "$@" 3< /dev/null', "sh", USHERCTL, "hand-in", "web", "--fd", "0", "--listen-fds", "--", "echo",
               "started", stdin=two[0], check=False)
    assert done.returncode == 1 and not done.stdout and "descriptor 3" in done.stderr and "EBUSY" in done.stderr


def test_command_gets_what_was_passed(broker, two):
    """hand-in does not change the variables, and the descriptors are the same sockets."""
    broker(web="Stream=80")
    script = "import os; print(os.environ['LISTEN_FDS'], os.environ['LISTEN_PID'] == str(os.getpid()), os.fstat(3).st_ino)"
    done = pass_on(two[:1], "LISTEN_FDS=1|LISTEN_PID=PID", "hand-in", "web", "--", sys.executable, "-c", script)
    assert done.stdout.split() == ["1", "True", str(os.fstat(two[0].fileno()).st_ino)], done.stderr
