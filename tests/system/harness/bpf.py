# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel has, as bpftool shows it"""

import json
import os
import pathlib
import shutil

from .host import run
from .process import wait_until

BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"


def bpftool(*words):
    text = run(BPFTOOL, "-j", *words).stdout
    return json.loads(text) if text.strip() else None


def links():
    """The sk_lookup links of this network namespace."""
    own = os.stat("/proc/self/ns/net").st_ino
    # bpftool shows those of the whole machine, and fails if one comes or goes meanwhile: another test runs beside this one
    shown = wait_until(lambda: [bpftool("link", "show") or []])
    return [link for link in shown[0] if link.get("netns_ino") == own]


def pins(folder="/sys/fs/bpf"):
    """Every path below a folder of bpffs, relative and sorted, without the two files that the kernel puts there."""
    folder = pathlib.Path(folder)
    found = [str(path.relative_to(folder)) for path in folder.rglob("*")] if folder.exists() else []
    return sorted(path for path in found if path not in ("maps.debug", "progs.debug"))
