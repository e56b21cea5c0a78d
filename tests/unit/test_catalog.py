#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every field that an entry of the journal catalog shows is in every message of that kind. Otherwise journalctl -x shows
@USHER_NAME@. Prints TAP.

usage: test_catalog.py SOURCE-FOLDER

What a message has is read from the source: the `struct observed` that the caller of observe() passes. What may be NULL there
does not count: the rule of a name that may have none, an address that may not be known, and values that the function tests
("name ? "). tests/systemd looks at the messages themselves, after each of its tests."""

import pathlib
import re
import sys

from tap import run_checks

root = pathlib.Path(sys.argv[1])
catalog = (root / "units/usher.catalog").read_text()
observer = (root / "src/observe/observe.c").read_text()

# member of struct observed: the fields that observe() makes of it
FIELDS = {"name": {"NAME"}, "rule": {"RULE"}, "protocol": {"PROTOCOL"}, "family": {"FAMILY"}, "address": {"ADDRESS", "PORT"},
          "client": {"CLIENT"}, "device": {"DEVICE"}, "cookie": {"COOKIE"}, "reason": {"REASON"}, "by_client": {"UID"}}
# what place_observed() always knows (src/broker/place.c)
OF_A_PLACE = {"name", "protocol", "family", "cookie"}


def entries():
    """{MESSAGE_ID: text}"""
    return dict(re.findall(r"^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", catalog, re.M | re.S))


def kinds():
    """{kind: MESSAGE_ID}"""
    return dict(re.findall(r'\[OBSERVE_(\w+)\] = \{"[a-z-]+", "([0-9a-f]{32})"', observer))


def functions(text):
    """(name, text) of each function of a file."""
    return re.findall(r"^(?:[\w ]+ \**|[\w ]+\n?\**)(\w+)\([^;{]*?\)\n\{\n(.*?)^\}", text, re.M | re.S)


def members(initialiser, body):
    """The members that an initialiser sets to something that is not NULL."""
    found = set()
    for member, value in re.findall(r"\.(\w+) = ([^,{}]+(?:\([^()]*\))?)", initialiser):
        if not re.search(rf"\b{re.escape(value.strip())} \? ", body) and not value.startswith(("place_rule(", "NULL")):
            found.add(member)
    return found


def passed(about, name, body, text):
    """The members that are set in what a call of observe() in this function passes; for a parameter, in what each caller of the
    function in this file passes."""
    if about == "NULL":
        return set()
    inline = re.fullmatch(r"&\(struct observed\)\{(.*)\}", about, re.S)
    if inline:
        return members(inline[1], body)
    variable = about.lstrip("&")
    given = re.search(rf"struct observed \*?{variable} = (?:place_observed\(|\{{(.*?)\}};)", body, re.S) or \
        re.search(rf"\b{variable} = (place_observed)\(", body)
    if given:
        found = members(given[1], body) if given[1] and given[1] != "place_observed" else set(OF_A_PLACE)
        return found | {member for member, value in re.findall(rf"\b{variable}\.(\w+) = ([^;]+);", body) if value != "NULL"}
    sets = [passed(match, other, code, text) for other, code in functions(text)
            for match in re.findall(rf"\b{name}\((?:[^();]*, )?(&\w+)\b", code)]
    assert sets, f"{name}(): nobody passes {about}"
    return set.intersection(*sets)


def calls():
    """(place, kind, fields) of each call of observe()."""
    for path in sorted((root / "src").rglob("*.c")):
        text = path.read_text()
        n = 0
        for name, body in functions(text):
            for kind, about in re.findall(r"\bobserve\(OBSERVE_(\w+),\s*(&\(struct observed\)\{.*?\}|&?\w+),", body, re.S):
                n += 1
                members_ = passed(about, name, body, text)
                yield f"{path.name}: {name}()", kind, set().union(*(FIELDS.get(member, set()) for member in members_))
        if path.name != "observe.c":
            assert n == len(re.findall(r"\bobserve\(", text)), f"{path}: {n} calls are read"


def every_message_has_the_fields_of_its_entry():
    bad, shown = [], {kind: set(re.findall(r"@USHER_(\w+)@", entries()[number])) for kind, number in kinds().items()}
    for place, kind, fields in calls():
        if shown[kind] - fields:
            bad.append(f"{place}: a message of the kind {kind} has no USHER_{', USHER_'.join(sorted(shown[kind] - fields))}")
    return bad


def calls_are_read():
    found = list(calls())
    fields = {kind: fields for _, kind, fields in found}
    return [] if len(found) > 50 and fields["MISSING"] >= {"NAME", "ADDRESS", "CLIENT"} and set(fields) == set(kinds()) \
        else [f"{len(found)} calls, {fields}"]


def only_fields_of_usher_are_shown():
    unknown = set(re.findall(r"@(\w+)@", catalog)) - {f"USHER_{field}" for fields in FIELDS.values() for field in fields}
    return [f"@{field}@ is not a field of every message" for field in sorted(unknown)]


def identifiers_are_those_of_the_source():
    used = set(re.findall(r'"([0-9a-f]{32})"', observer))
    return [f"{number} is only in one of catalog and source" for number in sorted(used ^ set(entries()))]


run_checks([calls_are_read, every_message_has_the_fields_of_its_entry, only_fields_of_usher_are_shown,
            identifiers_are_those_of_the_source])
