# SPDX-License-Identifier: BSD-3-Clause
"""A broker that is killed at a system call"""

import signal
import subprocess

from .process import PATIENCE, wait_until


class Tracer:
    """strace, attached to the broker, kills it when it enters its N-th bpf(2)."""

    def __init__(self, running, number):
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(running.pid), "-e", "trace=bpf", "-e",
             f"inject=bpf:signal=KILL:when={number}", "-o", "/run/test/strace"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        tracer = lambda: [line for line in open(f"/proc/{running.pid}/status") if line.startswith("TracerPid:")]
        wait_until(lambda: tracer()[0].split()[1] == str(self.process.pid), what="strace is attached")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        self.process.stderr.close()


def attempt(function):
    """Whether the operation completed before the broker died."""
    try:
        function()
        return True
    except (EOFError, ConnectionError, BrokenPipeError):
        return False
