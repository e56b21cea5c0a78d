# SPDX-License-Identifier: BSD-3-Clause
"""Rule files: which are read, what they may contain, and how errors in them are reported.

usher.rules(5) has the promises.
"""

import errno
import os
import pathlib
import re
import socket
import time

import pytest

from harness import wire
from harness.bad_rules import BAD_RULES
from harness.broker import ctl
from harness.host import RULE_FOLDERS, V4, rule, write_rule
from harness.process import PATIENCE
from harness.service import Service
from harness.traffic import REFUSED, who
from harness.wire import Refused

ETC, RUN, LOCAL, USR = RULE_FOLDERS


def matches(running):
    """{(name, key, value)} of the matches in force."""
    return {(row["NAME"], row["KEY"], row["VALUE"]) for row in running.rules() if row["KEY"] in ("Stream", "Datagram")}


@pytest.fixture
def folders():
    return RULE_FOLDERS


class TestFiles:
    @pytest.mark.parametrize("strong, weak", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
    def test_first_folder_wins(self, usherd, folders, strong, weak):
        write_rule("web", rule("Stream=81"), folders[weak])
        write_rule("other", rule("Stream=90"), folders[weak])
        running = usherd.start()
        assert matches(running) == {("web", "Stream", "81"), ("other", "Stream", "90")}
        write_rule("web", rule("Stream=80"), folders[strong])
        running.reload()
        assert matches(running) == {("web", "Stream", "80"), ("other", "Stream", "90")}
        row = [row for row in running.rules("web") if row["KEY"] == "Stream"][0]
        assert (row["FILE"], row["LINE"]) == (str(folders[strong] / "web.rule"), "2")

    @pytest.mark.parametrize("mask", ["symlink", "empty"])
    def test_mask(self, usherd, folders, mask):
        """A symlink to /dev/null or an empty file masks the file of that name in the folders of lower precedence."""
        write_rule("web", rule("Stream=80"), USR)
        write_rule("other", rule("Stream=81"), USR)
        ETC.mkdir(parents=True)
        if mask == "symlink":
            (ETC / "web.rule").symlink_to("/dev/null")
        else:
            (ETC / "web.rule").touch()
        assert matches(usherd.start()) == {("other", "Stream", "81")}

    def test_other_files_are_ignored(self, usherd, rules):
        rules(web="Stream=80")
        for name in ("README", "web.rule~", "web.rule.dpkg-new", ".hidden.rule", "x.conf"):
            (RUN / name).write_text("not a rule at all\n")
        (RUN / "sub").mkdir()
        assert matches(usherd.start()) == {("web", "Stream", "80")}

    def test_symlink_to_a_rule(self, usherd, rules):
        pathlib.Path("/run/test/real").write_text(rule("Stream=80"))
        RUN.mkdir(parents=True)
        (RUN / "web.rule").symlink_to("/run/test/real")
        assert matches(usherd.start()) == {("web", "Stream", "80")}

    def test_no_rules_at_all(self, usherd):
        running = usherd.start()
        assert running.rules() == [] and running.status()["RULES"] == "0"

    def test_empty_folders(self, usherd):
        for folder in (ETC, RUN):
            folder.mkdir(parents=True)
        assert usherd.start().rules() == []


def bad_file(kind):
    """Something in a rule folder that is not a regular file, or cannot be read."""
    path = RUN / "shop.rule"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("/run/test/nowhere")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
    elif kind == "100-mb":
        with open(path, "w") as file:
            file.write("[Rule]\nStream=81\n")
            file.truncate(100 << 20)
    elif kind == "100-mb-of-lines":
        with open(path, "w") as file:
            file.write("[Rule]\n")
            line = "Stream=81\n" * 1024
            for _ in range(100 << 10 >> 3):
                file.write(line)
    return path


@pytest.mark.parametrize("kind", ["fifo", "directory", "dangling", "loop", "device", "socket", "100-mb",
                                  "100-mb-of-lines"])
def test_bad_file(broker, kind):
    """The broker names it, never waits for it and never reads all of it. Nothing changes."""
    running = broker(web="Stream=80")
    path = bad_file(kind)
    started = time.monotonic()
    with pytest.raises(Refused, match="shop.rule") as refusal:
        running.reload()
    assert time.monotonic() - started < PATIENCE
    assert refusal.value.number == errno.EBADMSG
    assert {row["FILE"] for row in refusal.value.rows} == {str(path)}
    assert matches(running) == {("web", "Stream", "80")}


@pytest.mark.no_asan
@pytest.mark.parametrize("what", [what for what, case in BAD_RULES.items() if case[1] is not None])
def test_bad_rule(broker, what):
    """The error is `file:line: reason`. Nothing changes: the good files of the same reload are not applied either."""
    running = broker(web="Stream=80")
    lines, number, words = BAD_RULES[what]
    path = RUN / "shop.rule"
    path.write_bytes(("\n".join(lines) + "\n").encode(errors="surrogateescape"))
    write_rule("another", rule("Stream=8081"))
    with pytest.raises(Refused, match=words) as refusal:
        running.reload()
    assert refusal.value.number == errno.EBADMSG
    row = refusal.value.rows[0]
    assert (row["FILE"], int(row.get("LINE", 0))) == (str(path), number), refusal.value.rows
    where = f"{path}:{number}: " if number else f"{path}: "
    assert refusal.value.reason.startswith(where)
    assert matches(running) == {("web", "Stream", "80")}
    status = running.status()
    assert status["RELOAD"] == "failed" and where in status["RELOAD_REASON"]
    path.unlink()
    assert running.reload()["ADDED"] == "1"
    assert running.status()["RELOAD"] == "ok"


def test_discover_is_told(broker):
    """`rules` has the [Discover] section of the rule in force."""
    settings = ["Socket=0.0.0.0:22 [::1]:22", "Socket=2222", "User=root daemon", "Unit=ssh*.service",
                "Executable=/usr/sbin/sshd", "ScanInterval=1500ms"]
    running = broker(web=rule("Stream=80", discover=settings), shop="Stream=81")
    rows = [row for row in running.rules() if row["SECTION"] == "Discover"]
    assert {row["NAME"] for row in rows} == {"web"}
    assert [(row["KEY"], row["VALUE"], row["LINE"]) for row in rows] == [
        ("Socket", "0.0.0.0/32:22", "4"), ("Socket", "[::1/128]:22", "4"), ("Socket", "2222", "5"), ("User", "root", "6"),
        ("User", "daemon", "6"), ("Unit", "ssh*.service", "7"), ("Executable", "/usr/sbin/sshd", "8"),
        ("Listen", "event", "0"), ("ScanInterval", "1500ms", "9")]
    assert matches(running) == {("web", "Stream", "80"), ("shop", "Stream", "81")}, "[Discover] matches no packet"


def test_longest_row(broker):
    """The longest value of a rule with the longest name fits into one packet."""
    path = "/" + "p" * 1022
    running = broker(**{"n" * 63: rule("Stream=80", discover=["Socket=22", f"Executable={path}"])})
    assert [row["VALUE"] for row in running.rules() if row["KEY"] == "Executable"] == [path]
    write_rule("web", rule("Stream=81", discover=["Socket=22", f"Executable={path}p"]))
    with pytest.raises(Refused, match="absolute"):
        running.reload()


@pytest.mark.parametrize("name", ["-web", ".web", "we b", "wéb", "n" * 64, "a:b", ""])
def test_bad_file_name(broker, name):
    """The file name is the name of the rule. A file whose name starts with a dot is hidden, and ignored."""
    running = broker(web="Stream=80")
    path = RUN / f"{name}.rule"
    path.write_text(rule("Stream=81"))
    if path.name.startswith("."):
        running.reload()
    else:
        with pytest.raises(Refused, match="name") as refusal:
            running.reload()
        assert refusal.value.rows[0]["FILE"] == str(path)
    assert matches(running) == {("web", "Stream", "80")}


def test_every_problem_is_told(broker):
    """All problems are reported at once."""
    running = broker(web="Stream=80")
    write_rule("one", "[Rule]\nStream=0\nStream=81\nOops=1\n")
    write_rule("two", "[Rule]\nDatagram=99999\n")
    with pytest.raises(Refused) as refusal:
        running.reload()
    found = {(pathlib.Path(row["FILE"]).name, row["LINE"]) for row in refusal.value.rows}
    assert found == {("one.rule", "2"), ("one.rule", "4"), ("two.rule", "2")}


CONFLICTS = {
    "same": ("Stream=192.0.2.0/24:80", "Stream=192.0.2.0/24:80"),
    "any-address": ("Stream=80", "Stream=80"),
    "equal-width-overlap": ("Stream=192.0.2.0/24:80-90", "Stream=192.0.2.0/24:85-95"),
    "udp": ("Datagram=53", "Datagram=53"),
    "ipv6": ("Stream=[2001:db8::/48]:80", "Stream=[2001:db8::/48]:80"),
    "spelled-differently": ("Stream=[2001:db8::/48]:80", "Stream=[2001:0DB8:0::/48]:80-80"),
    "any-and-zero": ("Stream=80", "Stream=0.0.0.0/0:80"),  # src/image/image.h: any address has length 0
    "every-port": ("Stream=*", "Stream=1-65535"),
}
NO_CONFLICTS = {
    "tcp-and-udp": ("Stream=80", "Datagram=80"),
    "widths": ("Stream=80-90", "Stream=80-89"),
    "side-by-side": ("Stream=80-89", "Stream=90-99"),
    "families": ("Stream=0.0.0.0/0:80", "Stream=[::/0]:80"),
    "lengths": ("Stream=192.0.2.0/24:80", "Stream=192.0.2.0/25:80"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_conflict(broker, rules, case):
    """The error names both file:line, and nothing is applied."""
    running = broker(keep="Stream=1000")
    first, second = CONFLICTS[case]
    rules(one=first, two=second)
    with pytest.raises(Refused) as refusal:
        running.reload()
    text = " ".join([refusal.value.reason] + [f"{row['FILE']}:{row['LINE']}: {row['PROBLEM']}"
                                              for row in refusal.value.rows])
    assert "one.rule:2" in text and "two.rule:2" in text
    assert matches(running) == {("keep", "Stream", "1000")}


@pytest.mark.parametrize("case", NO_CONFLICTS)
def test_no_conflict(broker, case):
    first, second = NO_CONFLICTS[case]
    assert len(matches(broker(one=first, two=second))) == 2


def test_one_name_may_repeat_itself(broker):
    """The same match twice in one rule is not a conflict between names."""
    broker(web="\n".join(BAD_RULES["same-match-twice"][0]))
    with Service("web") as service:
        wire.hand_in("web", service)
        assert who(V4, 80) == "web"


SPELLINGS = {
    # as it is written; as `rules` shows it
    "Stream=192.0.2.1:80": [("tcp", "192.0.2.1/32", "80")],
    "Stream=192.0.2.0/24:80 192.0.2.0/24:443": [("tcp", "192.0.2.0/24", "80"), ("tcp", "192.0.2.0/24", "443")],
    "Stream=[2001:DB8:0:0::/48]:443": [("tcp", "2001:db8::/48", "443")],
    "Stream=[2001:db8::1]:1-2": [("tcp", "2001:db8::1/128", "1-2")],
    "Stream=8000-8099": [("tcp", "*", "8000-8099")],
    "Datagram=*": [("udp", "*", "*")],
    "Stream=0.0.0.0/0:80": [("tcp", "0.0.0.0/0", "80")],
    "Stream=[::/0]:80": [("tcp", "::/0", "80")],
    "  Stream = 80  ": [("tcp", "*", "80")],
    "Stream=80\nStream=81": [("tcp", "*", "80"), ("tcp", "*", "81")],
    "Stream=80 ; a comment\n# another\n; a third": [("tcp", "*", "80")],
    "Stream=80 # a comment": [("tcp", "*", "80")],
    "Stream=1-65535": [("tcp", "*", "*")],
    "Stream=80\nMissing=refuse\nOrder=first": [("tcp", "*", "80")],
}


@pytest.mark.no_asan
@pytest.mark.parametrize("text", SPELLINGS)
def test_spelling(usherd, text):
    write_rule("web", f"[Rule]\n{text}\n")
    running = usherd.start()
    shown = [(row["PROTOCOL"], row["PREFIX"], row["PORTS"]) for row in running.rules() if "PORTS" in row]
    assert sorted(shown) == sorted(SPELLINGS[text])


# what others write, and the matches that the refusal advises
FOREIGN = {
    "192.0.2.7:80,443": {("192.0.2.7", "80"), ("192.0.2.7", "443")},
    "80,443-450": {("*", "80"), ("*", "443-450")},
    "[fe80::1%eth0]:80": {("fe80::1", "80")},
    "192.0.2.1-192.0.2.9:80-90": {("192.0.2.1", "80-90"), ("192.0.2.2/31", "80-90"), ("192.0.2.4/30", "80-90"),
                                  ("192.0.2.8/31", "80-90")},
    "0.0.0.0-255.255.255.255:80": {("0.0.0.0/0", "80")},
    "192.0.2.5-192.0.2.5:80": {("192.0.2.5", "80")},
    "[2001:db8::1-2001:db8::4]:443": {("2001:db8::1", "443"), ("2001:db8::2/127", "443"), ("2001:db8::4", "443")},
    "[2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff]:443": {("2001:db8::/48", "443")},
}


@pytest.mark.no_asan
@pytest.mark.parametrize("word", FOREIGN)
def test_the_advice_is_a_rule(usherd, word):
    """Done as advised, the rule has these matches: as many addresses and ports as were meant, and no more."""
    path = write_rule("web", f"[Rule]\nStream={word}\n")
    done = ctl("check", path, check=False)
    advised = re.search(r"write (?:one word for each: )?(.*)", done.stderr)[1]
    assert done.returncode == 65 and done.stderr.startswith(f"{path}:2: '{word}': ")
    path.write_text(f"[Rule]\nStream={advised}\n")
    running = usherd.start()
    shown = {(row["PREFIX"], row["PORTS"]) for row in running.rules() if "PORTS" in row}
    assert {(str(prefix).removesuffix("/32").removesuffix("/128"), ports) for prefix, ports in shown} == FOREIGN[word]


def test_windows_line_ends_and_no_last_line_feed(usherd):
    write_rule("a", "[Rule]\nStream=80")
    assert matches(usherd.start()) == {("a", "Stream", "80")}


def test_long_line(usherd):
    """Debian's inih cuts lines at 200 bytes and reads the tail as a new setting. Our parser must not."""
    ports = " ".join(str(port) for port in range(10000, 11000))
    write_rule("web", f"[Rule]\nStream={ports}\n")
    assert len(matches(usherd.start())) == 1000


def test_rules_rows(broker):
    """`rules` in docs/protocol.md: defaults have line 0."""
    running = broker(web=rule("Stream=192.0.2.0/24:80", "Missing=pass", access=["User=nobody", "Bound=any"]))
    rows = {(row["SECTION"], row["KEY"]): (row["VALUE"], row["LINE"]) for row in running.rules("web")}
    assert rows == {("Rule", "Stream"): ("192.0.2.0/24:80", "2"), ("Rule", "Missing"): ("pass", "3"),
                    ("Rule", "Order"): ("first", "0"), ("Access", "User"): ("nobody", "5"),
                    ("Access", "Bound"): ("any", "6")}
    with pytest.raises(Refused, match="nobody-knows") as refusal:
        running.rules("nobody-knows")
    assert refusal.value.number == errno.ENOENT


