#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usher-generator on folders, as any user: test_generator.py USHER-GENERATOR. Prints TAP."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tap import run_tests, test

GENERATOR = Path(sys.argv[1]).resolve()
NOBODY = 65534
RULE = "[Rule]\nStream=80\n"


class Host:
    """A root folder with rule files, and the folders of a generator"""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.root = self.folder / "root"
        self.out = [self.folder / name for name in ("normal", "early", "late")]
        for path in (self.root, *self.out):
            path.mkdir()

    def rule(self, name, *lines, where="etc/usher", text=None):
        path = self.root / where / "rules.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if text is not None else RULE + "".join(f"{line}\n" for line in lines))
        return path

    def run(self, *words, environ=None, code=0, folders=None):
        """Return: the lines on standard error, without the beginning that all have."""
        environ = {"PATH": os.environ["PATH"]} | {k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k} | (environ or {})
        done = subprocess.run([GENERATOR, f"--root={self.root}", *words, *(self.out if folders is None else folders)],
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=environ)
        assert done.returncode == code and not done.stdout, (done.returncode, done.stdout, done.stderr)
        lines = done.stderr.splitlines()
        assert all(line.startswith("usher-generator: ") for line in lines), lines
        return [line.removeprefix("usher-generator: ").replace(str(self.root), "") for line in lines]

    def written(self):
        """{path: target, or text}; nothing is in the folders of early and late."""
        assert not list(self.out[1].iterdir()) and not list(self.out[2].iterdir())
        return {str(path.relative_to(self.out[0])): os.readlink(path) if path.is_symlink() else path.read_text()
                for path in self.out[0].rglob("*") if not path.is_dir() or path.is_symlink()}


@contextlib.contextmanager
def host():
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:  # the files are those of another user, and so are the rights
            os.chmod(folder, 0o755)
        yield Host(folder)


def of(*units, brokers=("usherd.service.wants/usher-sockets.service",)):
    return {*(f"{unit}.socket.wants/usher@{unit}.service" for unit in units), *(brokers if units else ())}


@test
def nothing_without_the_key():
    with host() as h:
        assert h.run() == [] and h.written() == {}
        h.rule("web.rule")
        assert h.run() == [] and h.written() == {}, "the broker gets no unit either"


@test
def links():
    """The socket unit starts its usher@, and the broker the unit that asks what it lacks; nothing else is written."""
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket")
        assert h.run() == []
        written = h.written()
        assert set(written) == of("web")
        assert {Path(target).name for target in written.values()} == {"usher@.service", "usher-sockets.service"}
        assert all(target.startswith("/") for target in written.values())
        assert h.run() == [] and h.written() == written, "a second run finds them"


@test
def names_of_units():
    """Several units of a rule, a unit of several rules, instances, escapes"""
    with host() as h:
        h.rule("a.rule", "Sockets=web.socket web@1.socket", r"Sockets=foo\x2dbar.socket a:b_c.d.socket")
        h.rule("b.rule", "Sockets=web.socket")
        assert h.run() == []
        assert set(h.written()) == of("web", "web@1", r"foo\x2dbar", "a:b_c.d")


@test
def an_empty_value_discards():
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket", "Sockets=")
        assert h.run() == [] and h.written() == {}


@test
def folders_have_precedence():
    """As for the broker: the strongest file of a name counts, and an empty one or /dev/null masks."""
    strong = ["etc/usher", "run/usher", "usr/local/lib/usher", "usr/lib/usher"]
    with host() as h:
        for at, where in enumerate(strong):
            h.rule(f"own{at}.rule", f"Sockets=own{at}.socket", where=where)
            h.rule("all.rule", f"Sockets=all{at}.socket", where=where)
            h.rule("masked.rule", f"Sockets=masked{at}.socket", where=where)
            h.rule("null.rule", f"Sockets=null{at}.socket", where=where)
        h.rule("masked.rule", text="")
        h.rule("null.rule").unlink()
        (h.root / "etc/usher/rules.d/null.rule").symlink_to("/dev/null")
        h.rule(".hidden.rule", "Sockets=hidden.socket")
        h.rule("web.rule~", "Sockets=backup.socket")
        h.rule("web.conf", "Sockets=conf.socket")
        assert h.run() == []
        assert set(h.written()) == of("own0", "own1", "own2", "own3", "all0")


@test
def bad_files_are_reported_and_left_out():
    with host() as h:
        h.rule("good.rule", "Sockets=good.socket")
        h.rule("bad.rule", "Sockets=bad.socket", "Nonsense=1")
        h.rule("unit.rule", "Sockets=web.service")
        h.rule("bytes.rule", text="[Rule]\nStream=80\nSockets=\x01.socket\n")
        h.rule("other.rule", "Nonsense=1")
        lines = h.run()
        assert set(h.written()) == of("good")
        assert lines[0].startswith("/etc/usher/rules.d/bad.rule:4: unknown key 'Nonsense'"), lines
        assert lines[1].startswith("/etc/usher/rules.d/bytes.rule:3: "), lines
        assert lines[2].startswith("/etc/usher/rules.d/unit.rule:3: 'web.service' cannot be a socket unit"), lines
        assert lines[3:] == ["the rule files with errors start no usher@; correct them and run 'systemctl daemon-reload'"], lines


@test
def what_cannot_be_read_is_reported():
    """Never waits for a FIFO, and goes on without a folder that it may not read."""
    with host() as h:
        h.rule("good.rule", "Sockets=good.socket")
        os.mkfifo(h.root / "etc/usher/rules.d/fifo.rule")
        (h.root / "etc/usher/rules.d/folder.rule").mkdir()
        h.rule("weak.rule", "Sockets=weak.socket", where="usr/lib/usher")
        (h.root / "run/usher").mkdir(parents=True)
        (h.root / "run/usher/rules.d").write_text("")
        lines = h.run()
        assert set(h.written()) == of("good", "weak")
        for name in ("fifo.rule", "folder.rule", "/run/usher/rules.d"):
            assert any(name in line for line in lines), lines


@test
def instances():
    """Rules of another instance: usher@ of their units asks that broker, or both."""
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket both.socket", where="etc/usher-blue")
        h.rule("web.rule", "Sockets=both.socket own.socket")
        h.rule("web.rule", "Sockets=bad.socket", where="etc/usher-not a name")
        assert h.run() == []
        written = h.written()
        drop_ins = {path: written.pop(path) for path in list(written) if path.endswith(".conf")}
        assert set(written) == of("web", "both", "own", brokers=(
            "usherd.service.wants/usher-sockets.service", "usherd@blue.service.wants/usher-sockets@blue.service"))
        assert set(drop_ins) == {f"usher@{name}.service.d/50-usher-generator.conf" for name in ("web", "both")}
        for name, starts in ("web", ["--instance=blue hand-in"]), ("both", ["hand-in", "--instance=blue hand-in"]):
            lines = drop_ins[f"usher@{name}.service.d/50-usher-generator.conf"].splitlines()
            assert "Wants=usherd@blue.socket" in lines and "After=usherd@blue.socket" in lines
            at = lines.index("ExecStart=")
            assert [line.split("--timeout=4 ")[1] for line in lines[at + 1:]] == [f"{start} --unit=%i.socket" for start in starts]


@test
def only_for_the_system():
    """Neither in the initrd nor for the service manager of a user. A system manager that says so changes nothing."""
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket")
        for environ in {"SYSTEMD_SCOPE": "user"}, {"SYSTEMD_SCOPE": "system", "SYSTEMD_IN_INITRD": "1"}:
            assert h.run(environ=environ) == [] and h.written() == {}
        assert h.run(environ={"SYSTEMD_SCOPE": "system", "SYSTEMD_IN_INITRD": "0"}) == []
        assert set(h.written()) == of("web")


@test
def one_folder_is_enough():
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket")
        assert h.run(folders=[h.out[0]]) == [] and set(h.written()) == of("web")
        h.run(folders=[], code=2)
        h.run(folders=h.out[:2], code=2)


@test
def a_folder_that_cannot_be_written():
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket")
        line, = h.run(folders=["/proc/self/nothing"], code=1)
        assert line.startswith("cannot write /proc/self/nothing/web.socket.wants: ") and "(ENOENT)" in line, line


@test
def a_million_matches_cost_nothing():
    """Files without the key are not parsed: systemd waits for its generators."""
    with host() as h:
        h.rule("web.rule", "Sockets=web.socket")
        h.rule("big.rule", text="[Rule]\n" + "Stream=192.0.2.1:80\n" * 1000000)
        start = time.monotonic()
        assert h.run() == [] and set(h.written()) == of("web")
        print(f"# {time.monotonic() - start:.2f} s")


# The build may be where only root can read.
if os.geteuid() == 0:
    kept = tempfile.TemporaryDirectory()
    os.chmod(kept.name, 0o755)
    GENERATOR = Path(shutil.copy(GENERATOR, kept.name))
    os.chown(kept.name, NOBODY, NOBODY)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
run_tests()
