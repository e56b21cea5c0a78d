# SPDX-License-Identifier: BSD-3-Clause
"""The folders of the rules, and /run/usher: full, missing, unreadable, or changing while they are read."""

import os
import pathlib
import subprocess

import pytest

from harness.broker import USHERD
from harness.host import NOBODY, RULE_FOLDERS, V4, rule, run, write_rule
from harness.isolate import mount
from harness.process import PATIENCE, Child, libc, wait_until
from harness.service import Service
from harness.traffic import who
from harness.wire import Refused, hand_in


def test_run_is_full(usherd):
    """No space for the socket (ENOSPC): the broker fails with a message and leaves nothing. With space again, it starts."""
    write_rule("web", rule("Stream=80"), RULE_FOLDERS[0])
    mount("tmpfs", "/run", "tmpfs", 0, "size=64k,nr_inodes=4,mode=755")
    os.mkdir("/run/test")  # the log and the socket of the service manager are elsewhere now
    pathlib.Path("/run/filler").touch()
    log = pathlib.Path("/dev/shm/usher-test-log")
    broker = subprocess.Popen([str(word) for word in (USHERD,)], stderr=open(log, "w"))
    try:
        assert broker.wait(PATIENCE) != 0
        assert "/run/usher" in log.read_text() and "ENOSPC" in log.read_text()
    finally:
        log.unlink()
    libc("umount2", b"/run", 2)
    usherd.start()
    with Service("web") as service:
        hand_in("web", service)
        assert who(V4, 80) == "web"


def test_run_folder_removed_while_running(broker):
    """Dispatch goes on, connected clients are served, and a restart creates the folder again."""
    running = broker(web="Stream=80")
    with Service("web") as service, running.connect() as connection:
        hand_in("web", service)
        run("rm", "-r", "/run/usher")
        assert who(V4, 80) == "web"
        assert connection.request("status")["OK"] == "1"
        write_rule("web", rule("Stream=80"), RULE_FOLDERS[0])
        running.stop()
        running.start()
        assert running.sockets() and who(V4, 80) == "web"


def test_stale_socket(broker):
    """A killed broker leaves its socket, and the next broker replaces it."""
    running = broker(web="Stream=80")
    running.kill()
    assert running.socket.exists()
    running.start()


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("x"),
                                  lambda path: path.symlink_to("/run/test/target")])
def test_something_else_in_the_place_of_the_socket(usherd, rules, make):
    """The broker replaces it or names it. The target of a symbolic link is not touched."""
    rules(web="Stream=80")
    target = pathlib.Path("/run/test/target")
    target.write_text("precious")
    make(usherd.socket)
    usherd.spawn()
    wait_until(lambda: not usherd.running() or "READY=1" in "".join(usherd.notify.messages()))
    if not usherd.running():
        assert "usher.sock" in usherd.log
    else:
        assert usherd.status()["OK"] == "1"
    assert target.read_text() == "precious"


def test_rule_folder_unreadable(broker):
    """Without CAP_DAC_OVERRIDE, as in the unit, the broker names the unreadable folder, and nothing changes."""
    running = broker(web="Stream=80")
    running.stop()
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    running.start(prefix=drop)
    folder = pathlib.Path("/run/usher/rules.d")
    os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o700)
    with pytest.raises(Refused, match=r"/run/usher/rules\.d.*(EACCES|ermission)"):
        running.reload()
    assert running.rules("web")
    folder.chmod(0o755)
    (folder / "web.rule").chmod(0)
    os.chown(folder / "web.rule", NOBODY, NOBODY)
    with pytest.raises(Refused, match=r"web\.rule.*(EACCES|ermission)"):
        running.reload()
    assert running.rules("web")


def test_files_replaced_all_the_time(broker):
    """A file replaced while it is read is the old one or the new one."""
    running = broker(web="Stream=80")

    def replace(tell):
        number = 0
        while True:
            write_rule("web", rule("Stream=80", *[f"Stream={port}" for port in range(1000, 1000 + number % 200)],
                                   "Stream=81"))
            number += 1

    child = Child(replace)
    for _ in range(200):
        running.reload()
        values = [row["VALUE"] for row in running.rules("web") if row["KEY"] == "Stream"]
        assert values == ["80"] or (values[0], values[-1]) == ("80", "81")
    child.kill()
    running.reload()


def test_file_written_in_place(broker):
    """An editor truncates the file and writes it: half a file is a bad file or a shorter one, and never a crash."""
    running = broker(web="Stream=80")
    path = RULE_FOLDERS[1] / "web.rule"

    def rewrite(tell):
        while True:
            with open(path, "w", buffering=1) as file:
                for word in ("[Rule]\n", "Stream=80\n", "Missing=pass\n"):
                    file.write(word)

    child = Child(rewrite)
    for _ in range(200):
        try:
            running.reload()
        except Refused as refusal:
            assert "web.rule" in refusal.reason
    child.kill()
    assert running.running()
