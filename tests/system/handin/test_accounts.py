# SPDX-License-Identifier: BSD-3-Clause
"""Users and groups that a rule names: some do not exist, or not yet, or nobody says. That costs nobody else anything."""

import errno
import json
import os
import pathlib
import socket
import time

import pytest

from harness import process
from harness.broker import ctl
from harness.host import DAEMON, NOBODY, V4, rule, run
from harness.notify import notify
from harness.process import PATIENCE, Child, wait_until
from harness.service import Service
from harness.traffic import who
from harness.wire import Refused, request, request_as

STRANGER = 4711  # a uid that no user has
KNOWN = "there is no {} '{}' on this host, so the word admits nobody until there is one"
HANGS_SECONDS = 1  # after which the broker does not wait for one name any more


@pytest.fixture
def service():
    with Service("web") as running:
        yield running


class Database:
    """/etc/passwd or /etc/group of this test, which it can change."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.copy = pathlib.Path("/run", self.path.name)
        self.copy.write_text(self.path.read_text())
        run("mount", "--bind", self.copy, self.path)

    def add(self, name, number):
        fields = {"passwd": f"{name}:x:{number}:{number}::/:/bin/false", "group": f"{name}:x:{number}:"}
        with open(self.path, "a") as file:
            file.write(fields[self.path.name] + "\n")

    def remove(self, name):
        text = "".join(line for line in open(self.path) if not line.startswith(name + ":"))
        self.path.write_text(text)

    def hang(self):
        """From now on, whoever opens it waits."""
        os.mkfifo("/run/never")
        run("mount", "--bind", "/run/never", self.path)


@pytest.fixture
def users():
    return Database("/etc/passwd")


@pytest.fixture
def groups():
    return Database("/etc/group")


def denied(*arguments, **options):
    with pytest.raises(Refused) as refusal:
        request_as(*arguments, **options)
    assert refusal.value.number == errno.EACCES, refusal.value
    return refusal.value.reason


class TestAbsent:
    def test_start(self, broker, service, rules):
        """The broker starts, the rule is in force, and a warning names file, line and user."""
        running = broker(web=rule("Stream=80", access=["User=nobody no-such-user"]), shop="Stream=81")
        assert running.status()["RULES"] == "2"
        assert request_as(NOBODY, NOBODY, "hand-in", [service], NAME="web")["ADDED"] == "1"
        assert who(V4, 80) == "web"
        wait_until(lambda: f"/web.rule:4: {KNOWN.format('user', 'no-such-user')}" in running.log)
        assert "this host does not know 'no-such-user'" in denied(DAEMON, DAEMON, "hand-in", [service], NAME="web")

    @pytest.mark.parametrize("line, what", [("User=no-such-user", "user"), ("Group=no-such-group", "group")])
    def test_reload(self, broker, rules, service, line, what):
        """A reload succeeds with a warning, and shows it."""
        running = broker(web="Stream=80")
        rules(shop=rule("Stream=81", access=["User=nobody", line]))
        done = ctl("reload")
        warning = f"/run/usher/rules.d/shop.rule:5: warning: {KNOWN.format(what, 'no-such-' + what)}"
        assert warning in done.stderr and "reloaded: generation 2, rules: 2" in done.stdout
        assert running.status()["RULES"] == "2"
        wait_until(lambda: KNOWN.format(what, "no-such-" + what) in running.log)

    def test_check_and_doctor(self, broker):
        broker(web=rule("Stream=80", access=["User=no-such-user"]), shop=rule(
            "Stream=81", discover=["Socket=127.0.0.2:81", "User=no-such-other"]))
        done = ctl("check", "--no-listeners")
        assert f"web.rule:4: warning: {KNOWN.format('user', 'no-such-user')}" in done.stderr
        assert f"shop.rule:5: warning: {KNOWN.format('user', 'no-such-other')}" in done.stderr
        assert "ok: rules: 2, matches: 2, warnings: 2" in done.stdout
        unknown = json.loads(ctl("check", "--no-listeners", "--json").stdout)["unknown"]
        assert [(row["line"], "no-such-" in row["warning"]) for row in unknown] == [(5, True), (4, True)]
        report = ctl("doctor", check=False).stdout
        assert KNOWN.format("user", "no-such-user") in report and KNOWN.format("user", "no-such-other") in report

    @pytest.mark.parametrize("line", ["User=", "Group="])
    def test_word_alone(self, broker, service, line):
        """A list of which no word is known admits nobody but root: it is not an empty list."""
        broker(web=rule("Stream=80", access=[line + "no-such-thing"]))
        for uid in (NOBODY, DAEMON, STRANGER):
            denied(uid, uid, "hand-in", [service], NAME="web")
        assert request("hand-in", [service], NAME="web")["ADDED"] == "1"


class TestLater:
    def test_user_appears(self, users, broker, service):
        """A user that appears after the start is found at the next hand-in; nobody reloads."""
        broker(web=rule("Stream=80", access=["User=late"]))
        denied(STRANGER, STRANGER, "hand-in", [service], NAME="web")
        users.add("late", STRANGER)
        assert request_as(STRANGER, STRANGER, "hand-in", [service], NAME="web")["ADDED"] == "1"
        assert who(V4, 80) == "web"
        denied(NOBODY, NOBODY, "hand-in", [service], NAME="web")

    def test_group_appears(self, groups, broker, service):
        broker(web=rule("Stream=80", access=["Group=late"]))
        denied(NOBODY, STRANGER, "hand-in", [service], NAME="web")
        groups.add("late", STRANGER)
        assert request_as(NOBODY, STRANGER, "hand-in", [service], NAME="web")["ADDED"] == "1"

    def test_over_the_notify_socket(self, users, broker, service):
        running = broker(web=rule("Stream=80", access=["User=late"]))
        users.add("late", STRANGER)
        Child(lambda tell: notify("FDSTORE=1\nFDNAME=web", service), keep=[service.fileno()], uid=STRANGER,
              gid=STRANGER).result()
        wait_until(lambda: [row for row in running.sockets("web") if row["VIA"] == "notify"])

    def test_other_verbs(self, users, broker, service):
        """Withdrawing and claiming wait for the answer as well."""
        broker(web=rule("Stream=80", access=["User=late"]))
        request("hold", [service], NAME="web")
        denied(STRANGER, STRANGER, "claim", NAME="web")
        users.add("late", STRANGER)
        assert request_as(STRANGER, STRANGER, "claim", NAME="web")["CLAIMED"] == "1"
        users.remove("late")

    def test_user_is_removed(self, users, broker, rules, service):
        """A reload takes the right of a user away that is no more, whoever has the number now."""
        users.add("late", STRANGER)
        running = broker(web=rule("Stream=80", access=["User=late"]))
        assert request_as(STRANGER, STRANGER, "hand-in", [service], NAME="web")["ADDED"] == "1"
        users.remove("late")
        running.reload()
        denied(STRANGER, STRANGER, "withdraw", NAME="web")
        users.add("late", STRANGER + 1)
        assert request_as(STRANGER + 1, STRANGER, "withdraw", NAME="web")["OK"] == "1"

    def test_discovery(self, users, both, discover):
        """usher-discover starts with a user that it does not know, and finds the daemon of that user later."""
        both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=late"]))
        users.add("late", STRANGER)

        def serve(tell):
            listener = socket.create_server(("127.0.0.2", 8080))
            tell("listens")
            while True:
                listener.accept()[0].close()

        child = Child(serve, uid=STRANGER, gid=STRANGER)
        assert child.hear() == "listens"
        wait_until(lambda: [row for row in request("list").rows if row.get("VIA") == "discover"])


class TestHangs:
    """Nobody answers who a user is: a directory service that cannot be reached, played by a FIFO for /etc/passwd."""

    def test_nobody_else_waits(self, users, broker, service):
        """While one request waits for an answer, others are served at once; then it is decided by what is known."""
        running = broker(web=rule("Stream=80", access=["User=late"]), shop=rule("Stream=81", access=[f"User={NOBODY}"]))
        wait_until(lambda: "no user 'late'" in running.log)
        users.hang()
        started = time.monotonic()
        waiting = Child(_hand_in, service.fileno(), "web", keep=[service.fileno()], uid=STRANGER, gid=STRANGER)
        with Service("shop", port=8081) as shop:
            for _ in range(20):
                assert request("status")["OK"] == "1"
                assert request_as(NOBODY, NOBODY, "hand-in", [shop], NAME="shop")["OK"] == "1"
            quick = time.monotonic() - started
        assert quick < HANGS_SECONDS * process.SLOW, "nobody waited with it"
        assert waiting.result() == errno.EACCES
        assert "refused 'hand-in'" in running.log

    def test_start_and_reload(self, users, usherd, rules, service):
        """The broker starts, and reloads, within the time that one name may take; root hands in meanwhile."""
        rules(web=rule("Stream=80", access=["User=late"]))
        users.hang()
        usherd.start()
        assert request("hand-in", [service], NAME="web")["ADDED"] == "1"
        assert who(V4, 80) == "web"
        wait_until(lambda: "nobody says which number user 'late' has (ETIMEDOUT)" in usherd.log)
        done = ctl("reload")
        assert "warning: nobody says which number user 'late' has (ETIMEDOUT)" in done.stderr

    def test_what_was_known_stays(self, users, broker, service):
        """A number that was known before counts on, so that a service can restart while the directory is away."""
        users.add("late", STRANGER)
        running = broker(web=rule("Stream=80", access=["User=late"]))
        assert request_as(STRANGER, STRANGER, "hand-in", [service], NAME="web")["ADDED"] == "1"
        users.hang()
        running.reload()
        assert request_as(STRANGER, STRANGER, "withdraw", NAME="web")["OK"] == "1"

    def test_client_that_leaves(self, users, broker, service):
        """A client that hangs up while it waits leaves nothing behind, and the broker ends when it is told to."""
        running = broker(web=rule("Stream=80", access=["User=late"]))
        wait_until(lambda: "no user 'late'" in running.log)
        users.hang()
        before = len(running.fds())
        children = [Child(_hand_in, service.fileno(), "web", keep=[service.fileno()], uid=STRANGER, gid=STRANGER)
                    for _ in range(3)]
        wait_until(lambda: len(running.fds()) > before)
        for child in children:
            child.kill()
        wait_until(lambda: len(running.fds()) <= before, seconds=PATIENCE)
        assert request("status")["OK"] == "1"

    def test_process_ends(self, users, broker, service):
        """The process that asks has no capabilities, and is gone when nothing is left to ask."""
        running = broker(web=rule("Stream=80", access=["User=late"]))
        wait_until(lambda: "no user 'late'" in running.log)
        users.hang()
        waiting = Child(_hand_in, service.fileno(), "web", keep=[service.fileno()], uid=STRANGER, gid=STRANGER)
        wait_until(lambda: _clerks())
        for pid in _clerks():
            status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert waiting.result() == errno.EACCES
        wait_until(lambda: not _clerks())


def _clerks():
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == "usherd-clerk":
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def _hand_in(tell, fd, name):
    try:
        request("hand-in", [fd], NAME=name)
    except Refused as refusal:
        return refusal.number
    return 0
