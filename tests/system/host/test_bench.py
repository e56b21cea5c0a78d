# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks of lookups run through all of their rows. The results do not matter here."""

import json

import pytest

from harness.broker import BUILD
from harness.host import run
from harness.process import PATIENCE

pytestmark = pytest.mark.no_asan

LOOKUP = [
    "no rules", "unrelated port", "port rule, front hit", "port rule, place hit", "port rule, the last of 8 places",
    "missing, refused", "missing, Missing=pass", "related port, other address", "exact address", "prefix",
    "Order=first beside later orders", "Order=before-wildcard, nobody", "Order=last, nobody", "Order=before-wildcard, another address",
    "Order=last, another address", "Order=before-wildcard, yields", "Order=last, yields to a wildcard",
    "Order=last, another address, some device",
    "exact address among 100k", "prefix among 10", "prefix among 1k", "prefix among 100k",
    "other address beside 100k prefixes", "prefix among 1M", "any-port rule, any address", "any-port rule, one address",
    "range of 65,535 ports, prefix", "range of 65,535 ports, other address",
]
STRUCTURES = ["1 prefix", "1k prefixes", "100k prefixes", "1M prefixes", "100k exact addresses"]


@pytest.mark.parametrize("name, rows, columns", [
    ("lookup", LOOKUP, ["empty", "usher"]),
    ("structures", STRUCTURES, ["empty", "LPM trie", "hash, length by length", "usher, all of it"]),
])
def test_every_row_is_measured(name, rows, columns):
    done = run(BUILD / f"tests/bench/bench_{name}", "--quick", timeout=5 * PATIENCE)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = [(line["row"], line["column"]) for line in lines if "values" in line]
    assert found == [(f"{family}, {row}", column) for family in ("IPv4", "IPv6") for row in rows for column in columns]
    for line in lines:
        assert line["table"] == name
        if "values" in line:
            assert (line["unit"], line.get("baseline")) == ("ns", None if line["column"] == "empty" else "empty")
            assert len(line["values"]) == 2 and all(value > 0 for value in line["values"]), line
