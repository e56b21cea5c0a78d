# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark of relays, tests/bench/relays.py: every way works and has figures."""

import json
import os

import pytest

from harness.daemon import SOURCE
from harness.host import run

pytestmark = pytest.mark.no_asan

COLUMNS = {"bulk", "relay CPU", "connections, 1 at a time", "connections, 100 at a time", "connections, 1000 at a time", "ping",
           "idle, kB", "idle, descriptors"}


def test_quick():
    done = run(SOURCE / "tests/bench/relays.py", "--quick", timeout=300, env={**os.environ, "LC_ALL": "C.UTF-8"})
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    missing = {line["row"]: line["note"] for line in lines if "note" in line}
    assert not set(missing) & {"direct", "usher-relay"} and all(note.startswith("machine: ") for note in missing.values()), missing
    rows = {}
    for line in lines:
        if "values" in line:
            rows.setdefault(line["row"], set()).add(line["column"])
    for row, columns in rows.items():
        assert columns == (COLUMNS if row != "direct" else {name for name in COLUMNS if name[:4] not in ("idle", "rela")}), row
    assert len(rows) + len(missing) == 5
