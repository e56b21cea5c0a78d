# SPDX-License-Identifier: BSD-3-Clause
"""Tests as functions, in a program that prints TAP"""

import subprocess
import sys

_TESTS = []


class Skip(Exception):
    pass


def test(function):
    _TESTS.append(function)
    return function


def run_tests():
    """Run the tests in the order of their definition; the exit status says whether all passed."""
    print(f"1..{len(_TESTS)}")
    failed = 0
    for number, function in enumerate(_TESTS, 1):
        try:
            function()
            print(f"ok {number} - {function.__name__}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {function.__name__} # SKIP {reason}", flush=True)
        except (AssertionError, subprocess.SubprocessError, OSError, LookupError, ValueError) as error:
            failed += 1
            print(f"not ok {number} - {function.__name__}")
            print("# " + f"{type(error).__name__}: {error}".replace("\n", "\n# "), flush=True)
    sys.exit(failed > 0)


def run_checks(checks):
    """Functions that return what is wrong, a line each; the exit status says whether nothing is."""
    print(f"1..{len(checks)}")
    failed = 0
    for number, check in enumerate(checks, 1):
        problems = check()
        for problem in problems:
            print(f"# {problem}")
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {check.__name__}", flush=True)
    sys.exit(failed > 0)
