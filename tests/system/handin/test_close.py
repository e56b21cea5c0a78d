# SPDX-License-Identifier: BSD-3-Clause
"""A client that sends something that cannot be closed stops only itself."""

import errno
import os

import pytest

from harness.fuse import Stuck
from harness.host import NOBODY, V4
from harness.process import Child, in_child, wait_until
from harness.service import Service
from harness.traffic import who
from harness.wire import Connection, hand_in, request


@pytest.fixture
def stuck():
    if not os.path.exists("/dev/fuse"):
        pytest.skip("machine: there is no /dev/fuse")
    os.mkdir("/run/test/mnt")
    running = Stuck("/run/test/mnt")
    yield running
    running.release()  # or processes that have the file open could not be killed


def send_stuck(tell, path, times):
    """Send requests with a descriptor whose close(2) does not return, and report the errno of each."""
    opened = os.open(path, os.O_RDONLY)
    for _ in range(times):
        try:
            with Connection() as connection:
                connection.send(b"REQUEST=status\n", [opened])
                tell(int(connection.receive()[0]["ERRNO"]))
        except OSError as error:
            tell(error.errno)
    # when this process ends, it closes the file too, and hangs as the broker would


def test_file_whose_close_hangs(broker, stuck):
    """The broker answers, serves others, refuses a uid that continues, and recovers."""
    running = broker(web="Stream=80")
    threads = lambda: len(os.listdir(f"/proc/{running.pid}/task"))
    client = Child(send_stuck, stuck.file, 6, uid=NOBODY, gid=NOBODY)
    answers = [client.hear() for _ in range(6)]
    assert answers[:4] == [errno.EINVAL] * 4, "each refusal says that status takes no descriptors"
    assert set(answers[4:]) <= {errno.EUSERS, errno.EPIPE, errno.ECONNRESET}, "then the uid is refused"
    assert threads() == 1 + 4
    with Service("web") as service:
        hand_in("web", service)
        assert who(V4, 80) == "web"
    stuck.release()
    wait_until(lambda: threads() == 1, what="every descriptor is closed")
    assert client.wait() == 0
    assert in_child(lambda: request("status")["RELOAD"], uid=NOBODY, gid=NOBODY) == "ok", "and the uid is served again"
