# SPDX-License-Identifier: BSD-3-Clause
"""The description of the machine and the time of a run."""

import datetime
import os
import pathlib
import re
import shutil
import subprocess


def _output(*command, **more):
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    return done.stdout.strip()


def describe(root, quick):
    """The first line of the results."""
    processor = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    kind = _output("systemd-detect-virt", "--vm")
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": re.match(r"[\d.]*\d", os.uname().release)[0],
        "processor": " ".join(processor[1].split()) if processor else os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "machine": " of a virtual machine" if kind not in ("", "none") else "",
        "usher": _output("git", "describe", "--always", "--dirty", cwd=root) or "of unknown version",
        "quick": quick,
    }


def missing_packages(*lists):
    """Packages in these files that are not installed; none without dpkg."""
    if not shutil.which("dpkg-query"):
        return []
    names = [line.strip().lstrip("?") for path in lists if path.exists() for line in path.read_text().splitlines()
             if line.strip() and not line.startswith("#")]
    shown = _output("dpkg-query", "-W", "-f", "${db:Status-Status} ${binary:Package}\n", *names)
    installed = {line.split()[1].split(":")[0] for line in shown.splitlines() if line.startswith("installed ")}
    return [name for name in names if name not in installed]
