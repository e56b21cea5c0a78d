# SPDX-License-Identifier: BSD-3-Clause
"""Who may do what over usher.sock: [Access] of the rule decides, by the credentials in the packet"""

import errno
import grp
import os
import pwd
import socket
import struct
import subprocess

import pytest

from harness import wire
from harness.daemon import SOURCE
from harness.host import DAEMON, NOBODY, RULE_FOLDERS, V4, rule, run
from harness.process import PATIENCE, Child, in_child
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED, who
from harness.wire import Connection, Refused, request, request_as

MAIL_GROUP = 8


@pytest.fixture
def service():
    with Service("web") as running:
        yield running


def denied(function, *arguments, number=errno.EACCES, **options):
    with pytest.raises(Refused) as refusal:
        function(*arguments, **options)
    assert refusal.value.number == number
    return refusal.value.reason


class TestDefault:
    """Without [Access], only root may hand in."""

    @pytest.mark.vm
    def test_root(self, broker, service):
        broker(web="Stream=80")
        request("hand-in", [service], NAME="web")
        assert who(V4, 80) == "web"

    @pytest.mark.parametrize("verb", ["hand-in", "hold", "withdraw", "claim"])
    def test_others(self, broker, service, verb):
        running = broker(web="Stream=80")
        if verb in ("withdraw", "claim"):
            request("hold", [service], NAME="web")
        before = running.sockets()
        fds = [service] if verb in ("hand-in", "hold") else []
        reason = denied(request_as, NOBODY, NOBODY, verb, fds, NAME="web")
        assert "web" in reason and "Access" in reason, "the object and the remedy"
        assert running.sockets() == before

    @pytest.mark.parametrize("verb", ["reload", "detach"])
    def test_root_only(self, broker, verb):
        running = broker(web=rule("Stream=80", access=["User=nobody"]))
        with pytest.raises(Refused) as refusal:
            request_as(NOBODY, NOBODY, verb)
        assert refusal.value.number in (errno.EACCES, errno.EPERM)
        assert running.status()["GENERATION"] == "1"

    def test_everybody_reads(self, broker, service):
        broker(web="Stream=80")
        request("hand-in", [service], NAME="web")
        for verb in ("status", "list", "rules"):
            assert request_as(NOBODY, NOBODY, verb)["OK"] == "1"

    def test_name_without_a_rule(self, broker, service):
        """Only root may hand in a name that has no rule, so nobody else can take a name early."""
        broker(web="Stream=80")
        with pytest.raises(Refused, match="later"):
            request_as(NOBODY, NOBODY, "hand-in", [service], NAME="later")


ACCESS = {
    # [Access], and those who are allowed: (uid, gid, supplementary groups)
    "user-by-name": (["User=nobody"], {(NOBODY, DAEMON, ()): True, (DAEMON, NOBODY, ()): False}),
    "user-by-id": ([f"User={NOBODY}"], {(NOBODY, DAEMON, ()): True, (DAEMON, NOBODY, ()): False}),
    "users": (["User=nobody daemon"], {(NOBODY, 0, ()): True, (DAEMON, 0, ()): True, (2, 2, ()): False}),
    "users-on-two-lines": (["User=nobody", "User=daemon"], {(NOBODY, 0, ()): True, (DAEMON, 0, ()): True,
                                                            (2, 2, ()): False}),
    "group": (["Group=daemon"], {(NOBODY, DAEMON, ()): True, (NOBODY, NOBODY, ()): False}),
    "supplementary-group": (["Group=mail"], {(NOBODY, NOBODY, (MAIL_GROUP,)): True, (NOBODY, NOBODY, (9,)): False}),
    "each-key-narrows": (["User=nobody", "Group=mail"], {
        (NOBODY, NOBODY, (MAIL_GROUP,)): True, (NOBODY, NOBODY, ()): False, (DAEMON, MAIL_GROUP, ()): False}),
    "empty-section": ([], {(NOBODY, NOBODY, ()): False}),
    "bound-alone-lists-nobody": (["Bound=any"], {(NOBODY, NOBODY, ()): False}),
    "unit-of-nobody": (["Unit=no-such-unit-*.service"], {(NOBODY, NOBODY, ()): False}),
    "user-and-unit": (["User=nobody", "Unit=no-such-unit.service"], {(NOBODY, NOBODY, ()): False}),
}


@pytest.mark.parametrize("case", ACCESS)
def test_access(broker, service, case):
    """[Access] lists who may hand in, by user, group and unit; everybody else but root is refused."""
    lines, people = ACCESS[case]
    broker(web=rule("Stream=80", access=lines))
    for (uid, gid, groups), good in people.items():
        if good:
            assert request_as(uid, gid, "hand-in", [service], groups, NAME="web")["OK"] == "1"
            assert request_as(uid, gid, "withdraw", [service], groups, NAME="web")["OK"] == "1"
        else:
            denied(request_as, uid, gid, "hand-in", [service], groups, NAME="web")
    assert request("hand-in", [service], NAME="web")["ADDED"] == "1", "root may always"


def test_group_numbers(broker):
    """The numbers that this file relies on exist."""
    assert (pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("daemon").pw_uid) == (NOBODY, DAEMON)
    assert (grp.getgrnam("daemon").gr_gid, grp.getgrnam("mail").gr_gid) == (DAEMON, MAIL_GROUP)


def test_one_name_of_two_is_not_allowed(broker):
    """A request for two names is allowed as a whole or not at all."""
    running = broker(mine=rule("Stream=80", access=["User=nobody"]), other="Stream=81")
    with Service("x") as one, Service("y", port=8081) as two:
        reason = denied(request_as, NOBODY, NOBODY, "hand-in", [one, two], NAMES="mine:other")
        assert "other" in reason
        assert running.sockets() == []


def test_reload_takes_a_right_away(broker, rules, service):
    """Rights are those of the rule set in force, even on an older connection."""
    running = broker(web=rule("Stream=80", access=["User=nobody"]))

    def stay(tell):
        with Connection() as connection:
            tell(connection.request("hand-in", [service], NAME="web")["ADDED"])
            tell(connection.request("status")["OK"])
            go.recv(1)
            try:
                connection.request("withdraw", NAME="web")
            except Refused as refusal:
                return refusal.number
        return 0

    go, here = socket.socketpair()
    child = Child(stay, keep=[service.fileno(), go.fileno()], uid=NOBODY, gid=NOBODY)
    assert (child.hear(), child.hear()) == ("1", "1")
    rules(web=rule("Stream=80", access=["User=daemon"]))
    running.reload()
    here.send(b"x")
    assert child.result() == errno.EACCES
    assert who(V4, 80) == "web", "sockets that were allowed stay"


@pytest.mark.parametrize("connected_as, sent_as, good", [(0, NOBODY, False), (NOBODY, 0, True)])
def test_credentials_of_each_packet_decide(broker, service, connected_as, sent_as, good):
    """A connection that was passed to another user has the rights of that user."""
    broker(web="Stream=80")

    def send(descriptor):
        connection = Connection.__new__(Connection)
        connection.socket = socket.socket(fileno=descriptor)
        connection.socket.settimeout(PATIENCE)
        return connection.request("hand-in", [service], NAME="web")["ADDED"]

    def connect(tell):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        connection = Connection()
        socket.send_fds(here, [b"x"], [connection.socket.fileno()])
        return True

    there, here = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    assert Child(connect, keep=[here.fileno()], uid=connected_as, gid=connected_as).result()
    _, (descriptor,), _, _ = socket.recv_fds(there, 1, 1)
    act = lambda: in_child(send, descriptor, keep=[descriptor, service.fileno()], uid=sent_as, gid=sent_as)
    if good:
        assert act() == "1"
    else:
        denied(act)
        assert who(V4, 80) == REFUSED


def test_unprivileged_sender_cannot_forge(broker, service):
    """A process that is not root cannot claim other credentials than its own."""
    broker(web="Stream=80")

    def forge():
        with Connection() as connection:
            connection.send(wire.text_of({"REQUEST": "reload"}), controls=[
                (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", 1, 0, 0))])

    with pytest.raises(PermissionError):
        in_child(forge, uid=NOBODY, gid=NOBODY)


def test_squatting(broker):
    """With [Access], nobody else can take a name before its service does, or after."""
    broker(web=rule("Stream=80", access=["User=daemon"]))
    with Service("thief", port=8081) as thief, Service("web") as service:
        denied(request_as, NOBODY, NOBODY, "hand-in", [thief], NAME="web")
        assert request_as(DAEMON, DAEMON, "hand-in", [service], NAME="web")["ADDED"] == "1"
        denied(request_as, NOBODY, NOBODY, "hand-in", [thief], NAME="web")
        denied(request_as, NOBODY, NOBODY, "withdraw", [service], NAME="web")
        assert who(V4, 80) == "web"


def test_listing_tells_who(broker):
    running = broker(web=rule("Stream=80", access=["User=nobody"]))
    service = ServiceProcess("web", before=lambda sock: request("hand-in", [sock], NAME="web"), uid=NOBODY, gid=DAEMON)
    row, = running.sockets()
    assert (row["UID"], row["GID"], row["PID"]) == (str(NOBODY), str(DAEMON), str(service.pid))
    has_pidfd = tuple(int(number) for number in os.uname().release.split(".")[:2]) >= (6, 5)
    assert row["VERIFIED"] == ("yes" if has_pidfd else "no"), "SO_PASSPIDFD exists since 6.5"


def test_process_in_another_pid_namespace(broker):
    """A registrant in another pid namespace is served, and listed with the pid that it has here."""
    running = broker(web="Stream=80")
    script = f"""
import sys; sys.path.insert(0, {str(SOURCE / "tests/system")!r})
from harness.service import Service
from harness.wire import hand_in
import os, time
service = Service("inner")
hand_in("web", service)
print(os.getpid(), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "/usr/bin/python3", "-c", script],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as inner:
        assert inner.stdout.readline() == "1\n"
        assert who(V4, 80) == "inner"
        row, = running.sockets()
        assert int(row["PID"]) > 1, "a child namespace is visible from here, by the pid it has here"
        inner.stdin.close()


def test_files_of_the_broker(broker):
    """The files in /run and on bpffs belong to root, and nobody else can write or lock them."""
    running = broker(web="Stream=80")
    for path in (running.run_dir, running.pins, *running.pins.rglob("*"), *running.run_dir.iterdir()):
        found = path.lstat()
        assert found.st_uid == 0, path
        if path not in (running.socket, running.run_dir / "notify"):  # anybody may ask
            assert not found.st_mode & 0o022, f"{path}: {found.st_mode:o}"
    for folder in RULE_FOLDERS:
        if folder.exists():
            assert not folder.stat().st_mode & 0o022
    for path in (running.run_dir, running.pins):
        done = run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "touch", path / "x", check=False)
        assert done.returncode != 0
