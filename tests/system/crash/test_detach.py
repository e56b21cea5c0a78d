# SPDX-License-Identifier: BSD-3-Clause
"""Detach removes everything or nothing, through the broker and without one, and says which. The tests put other things
among the pins, make a removal fail halfway, and pin something meanwhile."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import bpf
from harness.broker import USHERCTL, Usherd, ctl_json
from harness.host import V4, rule, run, write_rule
from harness.isolate import MS_BIND, mount
from harness.process import libc, wait_until
from harness.service import Service
from harness.traffic import REFUSED, who
from harness.wire import hand_in

PINS = pathlib.Path("/sys/fs/bpf/usher")


@pytest.fixture(params=["broker", "no broker"])
def dispatching(request, broker):
    """Start a broker that dispatches to a service, then kill the broker or let it live; returns the broker."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        if request.param == "no broker":
            running.kill()
        assert who(V4, 80) == "web"
        yield running


# LeakSanitizer does not work in a process that strace traces
TRACED = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def detach(status=0, *words, prefix=()):
    """Run usherctl detach, which ends with that status; returns its message."""
    done = run(*prefix, USHERCTL, *words, "detach", check=False, env=TRACED if prefix else None)
    assert done.returncode == status, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def is_detached(running):
    assert bpf.links() == [] and who(V4, 80) == REFUSED
    if running.process.returncode is None:
        assert running.wait() == 0


def make_folder(path):
    path.mkdir()
    return path.rmdir


def mount_on_a_pin():
    """Mount over a pin, as a container runtime does to bring one into a container."""
    source = pathlib.Path("/run/test/file")
    source.touch()
    libc("mount", bytes(source), bytes(PINS / "places"), None, MS_BIND, None)
    return lambda: libc("umount2", bytes(PINS / "places"), 0)


def mount_on_a_folder():
    (PINS / "zz").mkdir()
    mount("tmpfs", str(PINS / "zz"), "tmpfs")

    def undo():
        libc("umount2", bytes(PINS / "zz"), 0)
        (PINS / "zz").rmdir()
    return undo


# a function that puts it there and returns one that removes it; a part of the message
FOREIGN = {
    "folder": (lambda: make_folder(PINS / "zz"),
               "/sys/fs/bpf/usher/zz is a folder (EISDIR), which usher does not create; nothing has been removed: remove "
               "it and detach again"),
    "full folder": (lambda: (make_folder(PINS / "zz"), make_folder(PINS / "zz" / "below"))[0],
                    "/sys/fs/bpf/usher/zz is a folder (EISDIR)"),
    "mount point": (mount_on_a_pin,
                    "/sys/fs/bpf/usher/places is a mount point (EBUSY); nothing has been removed: unmount it and detach "
                    "again"),
    "mounted folder": (mount_on_a_folder, "/sys/fs/bpf/usher/zz is a mount point (EBUSY); nothing has been removed"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_nothing_is_removed(dispatching, what):
    """Before any pin is removed, the message names what cannot be removed, and the remedy."""
    make, words = FOREIGN[what]
    undo = make()
    before = bpf.pins(PINS)
    said = detach(1)
    assert said.startswith("usherctl: cannot detach: ") and words in said
    assert bpf.pins(PINS) == before and len(bpf.links()) == 1 and who(V4, 80) == "web"
    if what == "full folder":
        (PINS / "zz" / "below").rmdir()
    undo()
    detach()
    is_detached(dispatching)
    assert not PINS.exists()


def test_services_are_still_there(dispatching):
    """After a refused detach, the next broker finds everything."""
    (PINS / "zz").mkdir()
    detach(1)
    dispatching.kill()
    dispatching.start()
    assert len(dispatching.sockets()) == 1 and who(V4, 80) == "web"


def pin_a_map(name):
    run(bpf.BPFTOOL, "map", "create", PINS / name, "type", "array", "key", 4, "value", 4, "entries", 1, "name", "x")


REMOVABLE = {
    "map": lambda: pin_a_map("foreign"),
    "program": lambda: run(bpf.BPFTOOL, "prog", "pin", "id", bpf.links()[0]["prog_id"], PINS / "program-999"),
    "second pin of a map": lambda: os.link(PINS / "places", PINS / "again"),
    "symlink": lambda: (PINS / "zz").symlink_to("/run/test"),
    "symlink to nothing": lambda: (PINS / "zz").symlink_to("nothing"),
    "left over": lambda: os.link(PINS / "places", PINS / "places-next"),
}


@pytest.mark.parametrize("what", REMOVABLE)
def test_everything_is_removed(dispatching, what):
    """Detach removes everything else that is pinned there too: another version of usher uses other names."""
    REMOVABLE[what]()
    detach()
    is_detached(dispatching)
    assert not PINS.exists() and os.path.exists("/run/test"), "a symlink is not followed"


def test_mounted_folder_of_the_pins(dispatching):
    """The folder is a mount point, as in a unit that may write nowhere else on bpffs: it stays, empty."""
    libc("mount", bytes(PINS), bytes(PINS), None, MS_BIND, None)
    said = detach()
    is_detached(dispatching)
    assert PINS.exists() and bpf.pins(PINS) == []
    words = "the empty folder /sys/fs/bpf/usher stays (EBUSY)"
    assert words in (said if "no broker" in said else dispatching.log), said


def test_held_by_a_broker(broker):
    """usherctl asks at another socket than the broker's: nothing is removed."""
    running = broker(web="Stream=80")
    before = bpf.pins()
    with Service("web") as service:
        hand_in("web", service)
        said = detach(1, "--socket", "/run/test/nobody")
        assert "/sys/fs/bpf/usher (EBUSY)" in said and "--socket" in said
        assert bpf.pins() == before and who(V4, 80) == "web"


def test_one_of_two_instances(broker):
    broker(web="Stream=80")
    other = Usherd("blue")
    write_rule("web", rule("Stream=81"), other.run_dir / "rules.d")
    other.start().kill()
    before = bpf.pins(PINS)
    (other.pins / "zz").mkdir()
    assert "/sys/fs/bpf/usher-blue/zz is a folder" in detach(1, "--instance", "blue")
    (other.pins / "zz").rmdir()
    assert "/sys/fs/bpf/usher-blue has been removed" in detach(0, "--instance", "blue")
    assert not other.pins.exists() and bpf.pins(PINS) == before and len(bpf.links()) == 1
    assert "no /sys/fs/bpf/usher-blue" in detach(0, "--instance", "blue")


NOT_OURS = {
    "symlink": (lambda: PINS.symlink_to("/run/test"), "ENOTDIR"),
    "map": (lambda: run(bpf.BPFTOOL, "map", "create", PINS, "type", "array", "key", 4, "value", 4, "entries", 1, "name",
                        "x"), "ENOTDIR"),
    "folder of another file system": (lambda: (PINS.mkdir(), mount("tmpfs", str(PINS), "tmpfs"),
                                               (PINS / "link").touch()), "ENODEV"),
}


@pytest.mark.parametrize("what", NOT_OURS)
def test_no_folder_of_pins(what):
    make, word = NOT_OURS[what]
    make()
    before = bpf.pins()
    said = detach(1)
    assert "/sys/fs/bpf/usher" in said and word in said
    assert bpf.pins() == before


def test_json(broker):
    broker(web="Stream=80").kill()
    assert ctl_json("detach") is True
    assert ctl_json("detach") is False


# ---- while it removes

def strace(inject):
    return ["strace", "-D", "-o", "/dev/null", "-e", "trace=unlinkat", "-e", f"inject=unlinkat:{inject}"]


def left(said):
    """The pins that are left according to a refusal."""
    return sorted(re.search(r"these are left: (.+?)[:;]", said)[1].split(", "))


def begin(broker, by, prefix):
    """Start a broker; returns it and a function that detaches, with strace on the process that removes the pins:
    usherctl, or the broker that it asks."""
    running = broker(web="Stream=80")
    if by == "usherctl":
        running.kill()
        return running, lambda status=0: detach(status, prefix=prefix)
    running.stop()
    running.start(prefix=prefix)
    return running, detach


@pytest.mark.parametrize("by", ["usherctl", "usherd"])
@pytest.mark.parametrize("error, status", [("EPERM", 77), ("EBUSY", 1), ("EROFS", 1)])
def test_fails_halfway(broker, by, error, status):
    """The link is removed last. The message names everything that is left, packets arrive as before, and a second detach
    succeeds."""
    running, run_detach = begin(broker, by, strace(f"error={error}:when=4"))
    with Service("web") as service:
        if by == "usherd":
            hand_in("web", service)
        before = bpf.pins(PINS)
        said = run_detach(status)
        after = bpf.pins(PINS)
        assert len(after) == len(before) - 3 and "link" in after and len(bpf.links()) == 1
        assert error in said and "dispatch goes on" in said and left(said) == after
        if by == "usherd":
            assert who(V4, 80) == "web"
        detach()
        is_detached(running)
        assert not PINS.exists()


@pytest.mark.parametrize("by", ["usherctl", "usherd"])
def test_may_remove_nothing(broker, by):
    running, run_detach = begin(broker, by, strace("error=EPERM:when=1+"))
    before = bpf.pins(PINS)
    said = run_detach(77)
    assert bpf.pins(PINS) == before and "nothing has been removed" in said and "EPERM" in said
    running.kill()
    detach()
    assert not PINS.exists()


@pytest.mark.parametrize("by", ["usherctl", "usherd"])
def test_link_cannot_be_removed(broker, by):
    """The link is removed last, so only the link is left."""
    first = broker(web="Stream=80")
    pins = len(bpf.pins(PINS))
    first.kill()
    detach()
    running, run_detach = begin(broker, by, strace(f"error=EPERM:when={pins}"))
    assert len(bpf.pins(PINS)) == pins
    said = run_detach(77)
    assert bpf.pins(PINS) == ["link"] == left(said) and "dispatch goes on" in said and len(bpf.links()) == 1
    detach()
    is_detached(running)
    assert not PINS.exists()


@contextlib.contextmanager
def stopped_at(n):
    """Stop usherctl after its nth removal until the block ends. After that, `said` and `returncode` are set."""
    before = len(bpf.pins(PINS))
    process = subprocess.Popen([*strace(f"signal=SIGSTOP:when={n}"), USHERCTL, "detach"], text=True, env=TRACED,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # the signal waits for the end of the system call, so usherctl makes no other one before it is continued
    wait_until(lambda: len(bpf.pins(PINS)) == before - n, what=f"{n} pins are removed")
    yield process

    def has_ended():
        process.send_signal(signal.SIGCONT)  # the signal is lost if strace has not passed the first one on yet
        return process.poll() is not None

    wait_until(has_ended, "usherctl ends")
    process.said, _ = process.communicate()


def test_somebody_pins_meanwhile(broker):
    """Somebody pins something between the first look and the last removal: that is removed too."""
    running = broker(web="Stream=80")
    running.kill()
    with stopped_at(1) as process:
        pin_a_map("foreign")
    assert process.returncode == 0, process.said
    is_detached(running)
    assert not PINS.exists()


def test_somebody_makes_a_folder_meanwhile(broker):
    """Somebody makes a folder meanwhile: it stays, and so does the link until the folder is gone."""
    running = broker(web="Stream=80")
    running.kill()
    with stopped_at(1) as process:
        (PINS / "zz").mkdir()
    assert process.returncode == 1 and "zz is a folder (EISDIR)" in process.said
    assert len(bpf.links()) == 1 and "dispatch goes on" in process.said and left(process.said) == bpf.pins(PINS)
    (PINS / "zz").rmdir()
    detach()
    is_detached(running)


@pytest.mark.parametrize("what", ["map", "folder"])
def test_somebody_is_there_after_the_link(broker, what):
    """Something appears after the link is gone. Nothing is dispatched any more, so detach succeeds: it removes a pin
    as well, and reports that a folder stays."""
    running = broker(web="Stream=80")
    running.kill()
    with stopped_at(len(bpf.pins(PINS))) as process:
        (PINS / "zz").mkdir() if what == "folder" else pin_a_map("foreign")
    assert process.returncode == 0, process.said
    is_detached(running)
    if what == "folder":
        assert "/sys/fs/bpf/usher stays (ENOTEMPTY)" in process.said and ": zz" in process.said
        assert bpf.pins(PINS) == ["zz"]
    else:
        assert not PINS.exists()
