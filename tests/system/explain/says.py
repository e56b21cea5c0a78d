# SPDX-License-Identifier: BSD-3-Clause
"""A set-up, and what each verb of usherctl says about it.

A test builds a set-up and yields, one after the other, what a verb must say at that moment: Explain, Doctor or Fails.
words.py has the words; a set-up refers to them by key, and supplies the values that differ.
"""

import contextlib
import functools
import re

from harness.broken import UNREACHABLE, ask
from harness.broker import ctl
from harness.diagnosed import Diagnosed
from harness.explained import Explained
from harness.process import MOMENT, PATIENCE, in_child
from harness.traffic import REFUSED, SILENCE

import words as _words


def setup(function):
    """Make a test of a function that yields what the verbs must say. All of it is checked before a failure is reported."""

    @functools.wraps(function)
    def test(*arguments, **fixtures):
        complaints = []
        for verb in function(*arguments, **fixtures):
            try:
                verb.check()
            except AssertionError as error:
                complaints.append(str(error))
        assert not complaints, "\n\n".join(complaints)

    return test


# ---- findings: (result, key of words.py, values of the set-up)

def _fault(result):
    return lambda key, **values: (result, key, values)


fail, warn, note, info, skip, ok = map(_fault, ("fail", "warn", "note", "info", "skip", "ok"))


def pattern(words, values):
    """`{name}` matches the value of that name, a regular expression or a text; without a value, anything, as `…` does."""
    def part(match):
        if match[1]:
            value = {"name": "web", **values}.get(match[1], re.compile(".*"))
            return f"(?:{value.pattern})" if isinstance(value, re.Pattern) else re.escape(str(value))
        return ".*" if match[0] == "…" else re.escape(match[0])

    return re.sub(r"\{(\w+)\}|…|[^{…]+", part, words)


def remedy_of(table, key):
    return table[key][1] if isinstance(table.get(key), tuple) else ""


def expect(found, faults, table, screen):
    """`found` has (code, result, text, remedy) of each finding. Each fault must be one of them."""
    for result, key, values in faults:
        base = key.partition(":")[0]
        words = table[key] if isinstance(table[key], tuple) else (table[key], remedy_of(table, base))
        text, remedy = (pattern(part, values) for part in words)
        assert any((code, severity) == (base, result) and re.fullmatch(text, said)
                   and re.fullmatch(remedy, advice) for code, severity, said, advice in found), (
            f"no {result} {text!r} with the remedy {remedy!r} in\n{screen}")


def has(found, expected):
    """Whether a row of JSON has these values, or each row of a list its own."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(has, found, expected))
    if isinstance(expected, dict):
        return all(has(found[key], value) for key, value in expected.items())
    return found == expected


# ---- findings beside each other

# Advice that is wrong beside a finding: (that finding, the advice, what makes them about the same socket)
CONTRADICTIONS = [
    (r"MPTCP listeners cannot be handed in: (?P<who>.*)", "{who}", "hand that socket in as"),
    (r"(?P<who>.*) is a (multicast|broadcast) address", "", "write a rule"),
    (r"somebody detached the link", "no rule dispatches it", "write a rule"),
    (r".* is not a local address", "", r"have it listen on an address within"),
]


def contradictions(arrives, rows):
    """Pairs of findings of explain, (code, severity, text, remedy), that say opposite things."""
    found = []
    for code, severity, said, advice in rows:
        # what is in force may be the listeners alone
        if severity == "fail" and arrives and code != "detached":
            found.append((code, "keeps the packet away, and it arrives"))
    if arrives is False and not any(severity == "fail" for _, severity, *_ in rows):
        found.append(("no failure", "and the packet does not arrive"))
    for first, about, wrong in CONTRADICTIONS:
        for _, _, said, _ in rows:
            match = re.match(first, said)
            if not match:
                continue
            subject = about.format(**match.groupdict())
            found += [(said, advice) for _, _, text, advice in rows if subject in text and re.search(wrong, advice)]
    texts = [said for *_, said, _ in rows]
    found += [(said, "twice") for said in set(texts) if texts.count(said) > 1]
    return found


# ---- the verbs

class Explain:
    """`usherctl explain` finds these faults of a packet and no others. A real client `meets` a name, REFUSED, SILENCE or
    UNREACHABLE; None: no client tries. `says` is (key, values) of the sentence at the top, `shows` that of a line in
    the tables below, `data` values in JSON."""

    def __init__(self, packet, meets, *faults, says=None, shows=None, status=None, options=(), front=(), namespace=None,
                 uid=None, **data):
        self.packet, self.meets, self.faults, self.data = packet, meets, faults, data
        self.says, self.shows = says, shows
        self.words = [*front, *packet.split(), *options]
        self.status = int(meets in (REFUSED, SILENCE, UNREACHABLE)) if status is None else status
        self.namespace, self.uid = namespace, uid

    def run(self):
        with self.namespace.entered() if self.namespace else contextlib.nullcontext():
            return Explained(*self.words)

    def check(self):
        found = self.run() if self.uid is None else in_child(self.run, uid=self.uid, gid=self.uid)
        print(f"$ usherctl explain {' '.join(map(str, self.words))}\n{found.text}[exit status {found.code}]\n")
        rows = [(row["code"], row["severity"], row["text"], " ".join(filter(None, (row["remedy"], row["command"]))))
                for row in found.data["findings"]]
        expect(rows, self.faults, _words.EXPLAIN, found.text)
        assert not contradictions(found.data["arrives"], rows), f"{contradictions(found.data['arrives'], rows)}:\n{found.text}"
        expected = sorted((key.partition(":")[0], result) for result, key, _ in self.faults)
        # every name without a socket has the finding that says who may hand in
        assert sorted(row[:2] for row in rows if row[0] != "access") == [
            fault for fault in expected if fault[0] != "access"], f"not {expected}:\n{found.text}"
        if self.says:
            key, values = self.says
            sentence = pattern(_words.SENTENCES[key], {"packet": self.packet, **values})
            assert re.fullmatch(sentence, found.first), f"no {sentence!r} in\n{found.text}"
        if self.shows:
            key, values = self.shows
            row = pattern(_words.TABLES[key], values)
            assert re.search(row, found.flat), f"no {row!r} in\n{found.text}"
        for key, value in self.data.items():
            assert has(found.data[key], value), f"{key} is not {value}: {found.data[key]}"
        assert found.code == self.status, found.text
        if self.meets is not None:
            met = ask(self.packet, MOMENT if self.meets == SILENCE else PATIENCE)
            assert met == self.meets, f"{self.packet} meets {met} and not {self.meets}\n{found.text}"


class Doctor:
    """`usherctl doctor` finds these faults and no others."""

    def __init__(self, *faults, front=(), namespace=None, **options):
        self.faults, self.front, self.namespace, self.options = faults, front, namespace, options

    def check(self):
        with self.namespace.entered() if self.namespace else contextlib.nullcontext():
            found = Diagnosed(*self.front, **self.options)
        print(f"$ usherctl doctor\n{found.text}")
        rows = [(row["check"], row["result"], row["text"], row["remedy"] or "") for row in found.rows]
        expect(rows, self.faults, _words.DOCTOR, found.screen())
        expected = sorted((key.partition(":")[0], result) for result, key, _ in self.faults if result in ("warn", "fail"))
        assert found.wrong() == expected, f"not {expected}:\n{found.screen()}"


class Fails:
    """A verb fails with this exit status and these words."""

    def __init__(self, status, key, *words, values={}, **options):
        self.status, self.key, self.words, self.values, self.options = status, key, words, values, options

    def check(self):
        done = ctl(*self.words, check=False, **self.options)
        assert not done.stdout, done.stdout
        print(f"$ usherctl {' '.join(map(str, self.words))}\n{done.stdout}{done.stderr}[exit status {done.returncode}]\n")
        said = pattern(_words.ERRORS[self.key], self.values)
        assert re.search(said, done.stderr, re.S) and done.returncode == self.status, (
            f"status {done.returncode}, and no {said!r} in\n{done.stderr}")
