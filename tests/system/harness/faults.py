# SPDX-License-Identifier: BSD-3-Clause
"""System calls that fail"""

import contextlib
import pathlib
import re
import signal
import subprocess

from .process import PATIENCE, wait_until


@contextlib.contextmanager
def failing(pid, calls, effect):
    """These system calls (names for strace) of a process are not made, but those of its children are. `effect` is what they
    return: error=EAGAIN, retval=0."""
    tracer = subprocess.Popen(
        ["strace", "-qq", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{effect}", "-o", "/run/test/faults"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = pathlib.Path(f"/proc/{pid}/status")
    traced_by = lambda: int(re.search(r"(?m)^TracerPid:\s*(\d+)", status.read_text())[1])
    try:
        wait_until(lambda: traced_by() == tracer.pid, what="strace is attached")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE)
        tracer.stderr.close()
    assert not status.exists() or traced_by() == 0
