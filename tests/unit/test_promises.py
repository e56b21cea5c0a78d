#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/promises.md names only existing tests, and leaves out no file of system tests. docs/security.md names a test for each
thing that an attacker can or cannot do. docs/developing.md lists what only tests/run --long runs. Prints TAP.

usage: test_promises.py SOURCE-FOLDER
"""

import pathlib
import re
import sys

from tap import run_checks

root = pathlib.Path(sys.argv[1])
tests = root / "tests"
text = (root / "docs/promises.md").read_text()
security = (root / "docs/security.md").read_text()

REFERENCE = re.compile(r"`((?:system|systemd|unit|bpf|fuzz)/[\w/]+\.(?:py|c))(?:::(\w+(?:::\w+)?))?`")


def items(document):
    """(sentence, [(file, test or None)]) of each item of its lists."""
    for item in re.findall(r"^- (.*?)(?=^- |^#|^\n|\Z)", document, re.M | re.S):
        yield " ".join(REFERENCE.sub("", item).split()).rstrip(" ,"), REFERENCE.findall(item)


def promises():
    return items(text)


def attackers():
    """{attacker: its items}"""
    section, = re.findall(r"^## Attackers$(.*?)(?=^## )", security, re.M | re.S)
    kinds = re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", section, re.M | re.S)
    return {kind: list(items(part)) for kind, part in kinds if kind != "Programs of usher"}


def missing_tests(references):
    bad = []
    for file, test in sorted(references):
        path = tests / file
        if not path.exists():
            bad.append(f"there is no tests/{file}")
        bad += [f"tests/{file} has no {name}" for name in test.split("::") if test and path.exists() and not re.search(
            rf"^\s*(?:def|class|static void) {name}\b", path.read_text(), re.M)]
    return bad


def every_test_exists():
    return missing_tests({reference for _, references in promises() for reference in references})


def attackers_have_tests():
    """Each line of docs/security.md about an attacker says what it can or cannot do, and names tests, which exist."""
    bad = []
    for kind, lines in attackers().items():
        for word in ("Can ", "Cannot "):
            bad += [f"{kind}: nothing that it {word.strip().lower()} do"
                    for _ in [0] if not any(sentence.startswith(word) for sentence, _ in lines)]
        for sentence, references in lines:
            bad += [f"{kind}: neither can nor cannot: {sentence}" for _ in [0] if not sentence.startswith(("Can ", "Cannot "))]
            bad += [f"{kind}: no test is named for: {sentence}" for _ in [0] if not references]
            bad += missing_tests(set(references))
    return bad if len(attackers()) >= 8 else [f"only {len(attackers())} kinds of attackers are read"]


def every_promise_has_a_test():
    return [f"no test is named for: {sentence}" for sentence, references in promises() if not references]


def every_file_is_named():
    named = {file for _, references in promises() for file, _ in references}
    files = [path.relative_to(tests).as_posix() for suite in ("system", "systemd")
             for path in (tests / suite).rglob("test_*.py")]
    return [f"tests/{file} shows no promise" for file in sorted(set(files) - named)]


def every_reference_is_read():
    """The pattern above reads every file in backquotes: one that it misses would not be checked."""
    return [f"'{word}' is not read" for word in re.findall(r"`[^`]*test_\w+\.(?:py|c)[^`]*`", text + security)
            if not REFERENCE.fullmatch(word) and not word.startswith("`tests/")]


def marked(mark):
    """The system tests that have a mark, as they are named in a list."""
    for path in (tests / "system").rglob("test_*.py"):
        file, code = path.relative_to(tests).as_posix(), path.read_text()
        if re.search(rf"^pytestmark = pytest\.mark\.{mark}$", code, re.M):
            yield file
        for name in re.findall(rf"^ *@.*\bmark\.{mark}\b.*\n(?: *[^ \n].*\n)*? *(?:def|class) (\w+)", code, re.M):
            yield f"{file}::{name}"


def what_is_long_is_listed():
    developing, bad = (root / "docs/developing.md").read_text(), []
    for mark in ("no_asan", "vm_long"):
        item, = re.findall(rf"^- System tests marked `{mark}` .*?(?=^- |^$)", developing, re.M | re.S)
        listed = {"::".join(filter(None, reference)) for reference in REFERENCE.findall(item)}
        bad += [f"developing.md does not list {name} ({mark})" for name in sorted(set(marked(mark)) - listed)]
        bad += [f"developing.md lists {name}, which is not marked {mark}" for name in sorted(listed - set(marked(mark)))]
    return bad


CHECKS = [every_test_exists, every_promise_has_a_test, attackers_have_tests, every_file_is_named,
          every_reference_is_read, what_is_long_is_listed]

print(f"# {len(list(promises()))} promises, {len({r for _, rs in promises() for r in rs})} tests named")
run_checks(CHECKS)
