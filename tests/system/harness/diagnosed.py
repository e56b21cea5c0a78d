# SPDX-License-Identifier: BSD-3-Clause
"""The findings of usherctl doctor"""

import json
import re

from .broker import USHERCTL
from .explained import ageless
from .host import run

LINE = re.compile(r"(ok|info|skip|warn|fail) +([a-z0-9-]+): (.*)")


def settled(text):
    """The text without values that change from run to run: ages, and the number of the broker's descriptors."""
    return re.sub(r"\d+ of (\d+ descriptors)", r"… of \1", ageless(text))


class Diagnosed:
    """All findings, as text and as JSON, which must agree. The exit code says whether one is a failure."""

    def __init__(self, *words, command=USHERCTL, prefix=(), **options):
        text, data = (run(*prefix, command, *json_option, *words, "doctor", check=False, **options)
                      for json_option in ([], ["--json"]))
        self.text, self.rows = text.stdout, json.loads(data.stdout)["findings"]
        assert text.stderr == data.stderr == "", text.stderr + data.stderr
        assert text.returncode == data.returncode == any(row["result"] == "fail" for row in self.rows), self.text
        assert self._lines() == [(row["result"], row["check"], settled(row["text"]), settled(row["remedy"] or ""))
                                 for row in self.rows], "people and programs get the same"
        for row in self.rows:
            assert (row["remedy"] is not None) >= (row["result"] == "fail"), f"a failure without a remedy: {row}"

    def _lines(self):
        lines = []
        for line in settled(self.text).splitlines():
            if match := LINE.fullmatch(line):
                lines.append((*match.groups(), ""))
            elif line.startswith("      "):
                lines[-1] = (*lines[-1][:3], line.strip())
        return lines

    def screen(self):
        """The lines other than "ok"."""
        return "".join(f"{row['result']}  {row['check']}: {row['text']}\n      {row['remedy'] or ''}\n" for row in self.rows
                       if row["result"] not in ("ok", "skip"))

    def wrong(self):
        """Sorted (check, result) of the warnings and failures, but for `udp-map`, which depends on the kernel alone."""
        return sorted((row["check"], row["result"]) for row in self.rows
                      if row["result"] in ("warn", "fail") and row["check"] != "udp-map")

    def of(self, check):
        """(result, text) of each line of a check."""
        return [(row["result"], row["text"]) for row in self.rows if row["check"] == check]
