# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark of the control plane still runs through every row. The times do not matter here."""

import json

import pytest

from harness.daemon import BUILD, SOURCE
from harness.host import run
from harness.process import PATIENCE

pytestmark = pytest.mark.no_asan

PROGRAM = SOURCE / "tests/bench/broker.py"

RATES = ["sockets per second", "p50", "p99"]
FILL = [*RATES, "all", "RSS", "kernel memory"]
IDLE = ["RSS", "wake-ups per minute", "processor", "kernel memory"]
CASES = ["1 match", "1,000 matches, 1 name", "1,000 matches, 1,000 names", "10,000 matches, 1 name",
         "10,000 matches, 1,000 names", "100,000 matches, 1 name", "100,000 matches, 1,000 names",
         "100,000 matches, 1,000 names, mixed", "1,000,000 prefixes, 1 name"]

ROWS = {
    "hand-in": {
        "usher_hand_in(), one after another": RATES,
        "protocol, one connection for all": RATES,
        "protocol, 64 sockets a packet": RATES,
        "usher_hand_in(), 8 processes at once": RATES,
        "usher_hand_in() and the first connection": ["p50", "p99"],
        "10,000 sockets of 1,000 names, a call each": FILL,
        "10,000 sockets of 1,000 names, 1,000 processes at once": FILL,
    },
    "rules": dict.fromkeys(CASES, ["start", "reload, everything", "processor, everything", "reload, one line",
                                   "processor, one line", "peak RSS", "RSS", "kernel memory"]),
    "compile": dict.fromkeys(CASES, ["parse", "access", "compile", "compare", "load", "switch", "release"]),
    "broker": {
        "1,000 names, no socket": IDLE,
        "1,000 names, 10,000 sockets of 1,000 processes": IDLE,
        "clients connect": IDLE,
        "hand-ins at a steady rate": IDLE,
    },
}
# An idle broker may do nothing, and a step with one match may take no measurable time.
MAY_BE_NOTHING = {"wake-ups per minute", "processor"} | set(ROWS["compile"]["1 match"])


@pytest.mark.parametrize("table", ROWS)
def test_every_row(table):
    found = {}
    for line in run("/usr/bin/python3", PROGRAM, "--quick", "--table", table, BUILD, timeout=5 * PATIENCE).stdout.splitlines():
        sample = json.loads(line)
        assert sample["table"] == table and sample["unit"]
        values = sample["values"]
        assert values and all(value >= 0 for value in values), line
        assert sample["column"] in MAY_BE_NOTHING or all(values), line
        found.setdefault(sample["row"], []).append(sample["column"])
    assert found == ROWS[table]
    assert list(found) == list(ROWS[table]), "the rows come in the order in which they are shown"


@pytest.mark.parametrize("flood", ["connect and close", "datagrams with a file"])
def test_floods(flood):
    lines = run("/usr/bin/python3", PROGRAM.with_name("floods.py"), "--quick", "--priority", "--only", flood, BUILD,
                timeout=5 * PATIENCE).stdout.splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == ["1", "50"], "one user, and fifty"
