# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover, and what it costs"""

import pathlib
import re
import time

from .daemon import BUILD, Daemon
from .isolate import mount
from .process import MOMENT, wait_until

CGROUP = pathlib.Path("/sys/fs/cgroup")


def mount_cgroup2():
    """The root of cgroup v2. If the host has it elsewhere, it is mounted here for this test only."""
    if not (CGROUP / "cgroup.procs").exists():
        mount("cgroup2", str(CGROUP), "cgroup2")
    return CGROUP


class Discover(Daemon):
    """usher-discover. Its hooks are attached to the root of cgroup v2, which is mounted here for this test only."""

    program = BUILD / "src/discover/usher-discover"

    def __init__(self, instance=None):
        super().__init__(instance)
        mount_cgroup2()

    def scanners(self):
        """The processes that scan for it."""
        return [int(pid) for pid in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def scanner(self):
        """The one that makes the next scan; it is there once a scan has been made with the rules in force."""
        return wait_until(lambda: len(self.scanners()) == 1 and self.scanners()[0], what="one process scans")

    def switches(self):
        """How often it and the processes that scan for it have been scheduled so far."""
        total = 0
        for pid in (self.pid, *self.scanners()):
            for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
                total += sum(map(int, re.findall(r"(?m)^(?:non)?voluntary_ctxt_switches:\s*(\d+)", status.read_text())))
        return total

    def settle(self, seconds=MOMENT):
        """Wait until it has not been scheduled for a while."""
        last = [None, 0.0]

        def unchanged():
            now = self.switches()
            if now != last[0]:
                last[:] = now, time.monotonic()
            return time.monotonic() - last[1] > seconds

        wait_until(unchanged, what="usher-discover is idle")

    def said(self, pattern):
        """The lines of its log that match"""
        return [line for line in self.log.splitlines() if re.search(pattern, line)]

    def wait_said(self, pattern):
        return wait_until(lambda: self.said(pattern), f"usher-discover says {pattern!r}\n{self.log}")
