#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts test results for tests/run.

count.py DIR SECONDS meson|pytest|tap NAME FILE [STATUS]   add the results of a suite, which took that long
count.py DIR SECONDS build NAME                            add something that has no tests
count.py DIR SECONDS failure NAME                          add something that failed as a whole
count.py DIR SECONDS total                                 a table of all that, then the sum; status 1 unless all is well
"""

import json
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

TAP_LINE = re.compile(r"^\s*(not )?ok\b[^#\n]*(?:#\s*(SKIP|TODO)\b\s*(.*))?$", re.IGNORECASE)
MACHINE = "machine:"


def count_tap(text):
    """[passed, failed, reasons of skips] of TAP output."""
    passed, failed, skips = 0, 0, []
    for line in text.splitlines():
        match = TAP_LINE.match(line)
        if not match:
            continue
        if match[2] and match[2].upper() == "SKIP":
            skips.append(match[3])
        elif match[1]:
            failed += 1
        else:
            passed += 1
    return [passed, failed, skips]


def count_meson(path):
    """Count the subtests of tests with TAP output, and every other test as one."""
    total = [0, 0, []]
    for line in path.read_text().splitlines():
        test = json.loads(line)
        text = test.get("stdout", "")
        passed, failed, skips = count_tap(text) if re.search(r"(?m)^1\.\.\d", text) else (0, 0, [])
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        if test["result"] == "SKIP" and not skips:
            skips = [f"{test['name']}: {(text + test.get('stderr', '')).strip()[-200:]}"]
            match = re.search(rf"{MACHINE}.*", text + test.get("stderr", ""))
            skips = [match[0]] if match else skips
        elif good and not passed + failed + len(skips):
            passed = 1
        elif not good and test["result"] != "SKIP" and not failed:
            failed = 1
        total = [total[0] + passed, total[1] + failed, total[2] + skips]
    return total


def count_pytest(path):
    passed, failed, skips = 0, 0, []
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skips.append(re.sub(r"^Skipped: ", "", case.find("skipped").get("message", "")))
        else:
            passed += 1
    return [passed, failed, skips]


def add(folder, seconds, kind, name, path=None, status="0"):
    if kind in ("build", "failure"):
        result = [0, int(kind == "failure"), []]
    else:
        counters = {"meson": count_meson, "pytest": count_pytest, "tap": lambda p: count_tap(p.read_text())}
        try:
            result = counters[kind](pathlib.Path(path))
        except (OSError, ValueError, ElementTree.ParseError) as error:
            print(f"{name}: no results: {error}")
            result = [0, 1, []]
        if not any(result):
            print(f"{name}: nothing ran")
            result[1] = 1
        if status != "0" and not result[1]:
            print(f"{name}: ended with status {status}")
            result[1] = 1
    with open(folder / "counts", "a") as counts:
        counts.write(json.dumps([name, seconds, *result]) + "\n")


def total(folder, seconds):
    rows = [json.loads(line) for line in (folder / "counts").read_text().splitlines()]
    strict = os.environ.get("CI") == "true"
    table, sums = [("", "passed", "failed", "skipped", "seconds")], [0, 0, 0]
    for name, took, passed, failed, skips in rows:
        for reason in skips:
            counts_as_failed = strict and not reason.startswith(MACHINE)
            print(f"{name}: skipped{' (counts as failed)' if counts_as_failed else ''}: {reason}")
            failed += counts_as_failed
        numbers = [passed, failed, len([reason for reason in skips if not strict or reason.startswith(MACHINE)])]
        table.append((name, *(numbers if any(numbers) else ["", "", ""]), took))
        sums = [first + second for first, second in zip(sums, numbers)]
    table.append(("in all", *sums, seconds))
    width = max(len(row[0]) for row in table)
    for name, *cells in table:
        print(f"{name:{width}}" + "".join(f"{cell:>9}" for cell in cells))
    print(f"{sums[0]} passed, {sums[1]} failed" + (f", {sums[2]} skipped" if sums[2] else ""))
    return 0 if sums[0] and not sums[1] else 1


if __name__ == "__main__":
    where = pathlib.Path(sys.argv[1])
    if sys.argv[3] == "total":
        sys.exit(total(where, int(sys.argv[2])))
    add(where, int(sys.argv[2]), *sys.argv[3:])
