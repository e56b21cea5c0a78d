# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark against other ways to reach a service, tests/bench/peers.py: every way works and has figures."""

import json
import os

import pytest

from harness.daemon import SOURCE
from harness.host import run

pytestmark = pytest.mark.no_asan

PEERS = SOURCE / "tests/bench/peers.py"
TCP = ["direct", "empty program", "usher", "nftables DNAT", "nftables TPROXY", "systemd-socket-proxyd", "HAProxy",
       "nginx stream"]
UDP = ["direct", "empty program", "least dispatcher", "usher", "nftables DNAT", "nftables TPROXY", "nginx stream"]
COLUMNS = {"tcp": ["connections/s", "p50", "p99", "p50, one at a time", "p99, one at a time"],
           "udp": ["one flow", "a flow each"], "throughput": ["throughput"]}
ALWAYS = ["direct", "empty program", "least dispatcher", "usher"]


def test_quick():
    """Every way has a figure in every column of its tables, or a note that the machine cannot have it."""
    done = run(PEERS, "--quick", timeout=300, env={**os.environ, "LC_ALL": "C.UTF-8"})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    missing = {line["row"]: line["note"] for line in lines if "note" in line and "row" in line}
    assert not set(missing) & set(ALWAYS), missing
    assert all(note.startswith("machine: ") for note in missing.values()), missing
    values = {(line["table"], line["row"], line["column"]): line["values"] for line in lines if "values" in line}
    for table, columns in COLUMNS.items():
        rows = [row for row in (UDP if table == "udp" else TCP) if row not in missing]
        for column in columns:
            assert [key[1] for key in values if (key[0], key[2]) == (table, column)] == rows, (table, column)
            assert all(value > 0 for row in rows for value in values[table, row, column])
    assert any("sees the client's address with direct, empty program, usher" in line.get("note", "") for line in lines)
    if missing:
        pytest.skip("; ".join(sorted(set(missing.values()))))
