#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The documents name exactly the words of the protocol that the source has: test_words.py SOURCE-ROOT."""

import pathlib
import re
import sys
import unittest

root = pathlib.Path(sys.argv.pop(1))
words = (root / "src/wire/words.c").read_text()
protocol = (root / "docs/protocol.md").read_text()
manual = (root / "docs/man/usher-protocol.7.scd").read_text()

KEYS = set(re.findall(r"\bKEY\(([A-Z][A-Z0-9_]*)\)", words))
# The notify socket speaks another protocol, and the journal has fields of its own.
OTHER_KEYS = {"BARRIER", "FDNAME", "FDPOLL", "FDSTORE", "FDSTOREREMOVE", "USHER_UID"}
# Events of usher-discover and usher-relay, and the one for which there can be no subscriber yet
NOT_IN_MONITOR = {"passed-over", "scanning", "no-broker", "unreachable", "reached", "full", "not-started"}


def values(kind):
    found = re.findall(rf'\[{kind}_\w+\] = "([^"]+)"', words)
    assert found, kind
    return set(found)


def events():
    return set(re.findall(r'\[OBSERVE_\w+\] = \{"([^"]+)"', (root / "src/observe/observe.c").read_text()))


def quoted(text):
    return set(re.findall(r"`([^`]+)`", text))


class WordsTest(unittest.TestCase):
    def test_the_protocol_names_every_key(self):
        self.assertGreater(len(KEYS), 80)
        named = {match[0] for match in re.finditer(r"\b[A-Z][A-Z0-9_]*(?==)", protocol)}
        named |= {word for word in quoted(protocol) if re.fullmatch("[A-Z][A-Z0-9_]*", word)}
        self.assertEqual(KEYS - named, set())
        self.assertEqual({key for key in re.findall(r"\b([A-Z][A-Z0-9_]*)=", protocol)} - KEYS - OTHER_KEYS, set())

    def test_the_protocol_names_every_value(self):
        for kind in "REQUEST", "VIA", "STATE", "VERDICT":
            self.assertEqual(values(kind) - quoted(protocol), set(), kind)
        for outcome in values("RELOAD"):
            self.assertIn(f"RELOAD={outcome}", protocol)
        self.assertEqual(events() - quoted(protocol) - NOT_IN_MONITOR, set())

    def test_the_source_spells_them_once(self):
        """Keys are enums, which the compiler checks. Words of protocols and families could return as literals."""
        spelt = {"tcp", "udp", "TCP", "UDP", "ipv4", "ipv6", "IPv4", "IPv6", "serving", "standby"}
        for path in sorted((root / "src").rglob("*.[ch]")):
            if path.name not in ("transport.c", "words.c"):
                code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
                found = set(re.findall(r'"((?:\\.|[^"\\\n])*)"', code)) & spelt
                self.assertEqual(found, set(), path)

    def test_the_manual_page_names_every_request(self):
        self.assertEqual(set(re.findall(r"^\*([a-z-]+)\*$", manual, re.M)), values("REQUEST"))

    def test_the_manual_page_knows_its_keys(self):
        named = set(re.findall(r"\b([A-Z][A-Z0-9_]*)=", manual))
        self.assertGreater(len(named), 20)
        self.assertEqual(named - KEYS, set())


unittest.main()
