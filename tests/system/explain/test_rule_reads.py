# SPDX-License-Identifier: BSD-3-Clause
"""explain and doctor read each rule file only once: a rule file may have 64 MiB, and two reads can differ."""

import collections
import os
import re

import pytest

from harness.broker import USHERCTL, ctl
from harness.host import RULE_FOLDERS, V4, WORK, rule, run, write_rule
from harness.service import Service

ETC, RUN = RULE_FOLDERS[:2]


def opened(*words):
    """{path: how often usherctl opened it} of the rule files, and its output."""
    trace = WORK / "trace"
    # LeakSanitizer does not work in a process that strace traces
    env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    done = run("strace", "-f", "-o", trace, "-e", "trace=openat", USHERCTL, *words, check=False, env=env)
    paths = re.findall(r'openat\([^"]*"([^"]+\.rule)"', trace.read_text())
    return collections.Counter(paths), done.stdout + done.stderr


@pytest.fixture
def files(broker):
    """A broker and every kind of file: one that is read, one with [Discover], one that masks another, and one that replaces
    another. The rules in force have no socket."""
    running = broker(web="Stream=192.0.2.0/24:80", ssh=rule("Stream=192.0.2.0/24:22", discover=["Socket=127.0.0.3:81"]))
    write_rule("masked", rule("Stream=192.0.2.0/24:81"))
    write_rule("other", rule("Stream=192.0.2.0/24:82"))
    write_rule("other", rule("Stream=192.0.2.0/24:83"), ETC)
    (ETC / "masked.rule").symlink_to("/dev/null")
    running.reload()
    return running


COUNT = [RUN / "web.rule", RUN / "ssh.rule", ETC / "masked.rule", ETC / "other.rule"]
HIDDEN = [RUN / "masked.rule", RUN / "other.rule"]


@pytest.mark.parametrize("port", [80, 22, 81, 82, 99])
def test_explain(files, port):
    """Of masked and replaced files, explain reads those that may have the answer."""
    opens, said = opened("explain", "tcp", f"{V4}:{port}")
    assert all(opens[str(path)] == 1 for path in COUNT), opens
    assert all(opens[str(path)] <= 1 for path in HIDDEN) and set(opens) <= {str(path) for path in COUNT + HIDDEN}
    hints = {22: "correct Socket= in /run/usher/rules.d/ssh.rule:4", 81: f"{ETC}/masked.rule masks that file",
             82: f"{ETC}/other.rule is read in its place"}
    assert hints.get(port, V4) in " ".join(said.split())


def test_explain_with_bad_files(files):
    write_rule("bad", "[Rule]\nOops=1\n")
    opens, said = opened("explain", "tcp", f"{V4}:22")
    assert all(opens[str(path)] == 1 for path in [*COUNT, RUN / "bad.rule"]) and "bad.rule:2" in " ".join(said.split())


def test_doctor(files):
    """doctor reports which files mask others without reading them."""
    with Service("ssh", address="127.0.0.3", port=81):
        opens, said = opened("doctor")
    assert opens == {str(path): 1 for path in COUNT}
    said = " ".join(said.split())
    assert f"{ETC}/masked.rule masks the rule of that name" in said
    assert f"{ETC}/other.rule is read in place of {RUN}/other.rule" in said


def test_doctor_with_bad_files(files):
    write_rule("bad", "[Rule]\nOops=1\n")
    opens, said = opened("doctor")
    assert opens == {str(path): 1 for path in [*COUNT, RUN / "bad.rule"]}
    assert f"{ETC}/masked.rule masks the rule of that name" in " ".join(said.split())


def test_doctor_looks_at_every_kind_of_mask(files):
    """An empty file masks, like a symlink to /dev/null. A folder or a FIFO does not, and doctor does not wait for it."""
    (ETC / "empty.rule").touch()
    (ETC / "folder.rule").mkdir()
    os.mkfifo(ETC / "fifo.rule")
    (ETC / "gone.rule").symlink_to("nothing")
    said = " ".join(ctl("doctor", check=False).stdout.split())
    assert f"{ETC}/empty.rule masks the rule of that name" in said
    for name in "folder", "fifo", "gone":
        assert f"{name}.rule masks" not in said and f"{name}.rule: " in said
