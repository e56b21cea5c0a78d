# SPDX-License-Identifier: BSD-3-Clause
"""The output of usherctl explain"""

import json
import pathlib
import re

from .broker import ctl


def ageless(text):
    """The text without ages: a second may pass between two answers."""
    return re.sub(r"\b\d+(s|min)\b", "…", text)


class Explained:
    """The output of explain, as text and as JSON, which must agree."""

    def __init__(self, *words, **options):
        text, data = (ctl("explain", *words, *json_option, check=False, **options) for json_option in ([], ["--json"]))
        assert text.stderr == data.stderr == "", text.stderr + data.stderr
        assert text.returncode == data.returncode
        self.code, self.text, self.data = text.returncode, text.stdout, json.loads(data.stdout)
        self.first = self.text.splitlines()[0]
        assert self.first == self.data["summary"] and self.data["arrives"] is {0: True, 1: False, 4: None}[self.code]
        self.flat = " ".join(self.text.split())
        for finding in self.data["findings"]:
            for key in ("text", "remedy", "command"):
                told = ageless(finding[key] or "")
                assert told in ageless(self.flat), "people and programs get the same"
        self.codes = {finding["code"]: finding for finding in self.data["findings"]}

    def because(self, code, *words):
        """The finding with that code exists and has these words. A finding of something wrong has a remedy."""
        assert code in self.codes, self.text
        finding = self.codes[code]
        for word in words:
            assert word in " ".join(filter(None, (finding["text"], finding["remedy"], finding["command"]))), self.text
        return finding


def explain(address, protocol="tcp", *words, **options):
    return Explained(protocol, address, *words, **options)


def healthy(address="192.0.2.1:80", protocol="tcp"):
    found = explain(address, protocol)
    assert found.code == 0 and not found.data["findings"], found.text
    return found


def comm():
    """The name of this process"""
    return pathlib.Path("/proc/self/comm").read_text().strip()
