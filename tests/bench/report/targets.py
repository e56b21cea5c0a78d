# SPDX-License-Identifier: BSD-3-Clause
"""The promises about the speed of usher, and whether a run kept them."""

import dataclasses
import typing

from . import results, tables

PROXIES = "systemd-socket-proxyd", "HAProxy", "nginx stream"
FAMILIES = "IPv4", "IPv6"
LARGE = "100,000 matches, 1 name", "100,000 matches, 1,000 names", "100,000 matches, 1,000 names, mixed"
HAND_IN = "usher_hand_in(), one after another"
IDLE = "1,000 names, no socket"


class NotMeasured(Exception):
    """The run lacks the samples of a target."""


@dataclasses.dataclass(frozen=True)
class Target:
    text: str
    limit: float
    unit: str
    measure: typing.Callable  # function of the results; returns (value, of what) pairs, which must all meet the limit
    at_least: bool = False


def _cell(found, table, row, column):
    try:
        return found.tables[table].cells[row, column]
    except KeyError:
        raise NotMeasured from None


def _more(row):
    """Nanoseconds more than the empty program, in each family."""
    def measure(found):
        for family in FAMILIES:
            name = f"{family}, {row}"
            yield results.differences(_cell(found, "lookup", name, "usher"),
                                      _cell(found, "lookup", name, "empty")).median, family
    return measure


def _beside(table, columns, *rows):
    """The rate of usher as a multiple of that of each row."""
    def measure(found):
        for column in columns:
            for row in rows:
                yield results.ratios(_cell(found, table, "usher", column), _cell(found, table, row, column)).median, \
                    row if len(rows) > 1 else column
    return measure


def _medians(table, column, *rows):
    def measure(found):
        for row in rows:
            yield _cell(found, table, row, column).median, row
    return measure


TARGETS = [
    Target("unrelated port: added to an empty program", 2, "ns", _more("unrelated port")),
    Target("port rule: added to an empty program", 32, "ns", _more("port rule, front hit")),
    Target("prefix among 100k: added to an empty program", 70, "ns", _more("prefix among 100k")),
    Target("prefix among 1M: added to an empty program", 100, "ns", _more("prefix among 1M")),
    Target("TCP connections/s, relative to the direct listener", 0.98, "×",
           _beside("tcp", ["connections/s"], "direct"), True),
    Target("UDP packets/s, relative to the empty program", 0.98, "×",
           _beside("udp", ["one flow", "a flow each"], "empty program"), True),
    Target("TCP connections/s, relative to every user-space proxy", 2, "×",
           _beside("tcp", ["connections/s"], *PROXIES), True),
    Target("100,000 matches compiled, loaded and switched", 1000, "ms",
           _medians("rules", "reload, everything", *LARGE)),
    Target("one changed line among 100,000", 100, "ms", _medians("rules", "reload, one line", *LARGE)),
    Target("hand-in, p50", 150, "µs", _medians("hand-in", "p50", HAND_IN)),
    Target("hand-ins per second", 5000, "/s", _medians("hand-in", "sockets per second", HAND_IN), True),
    Target("idle broker with 1,000 names: RSS", 8, "MiB", _medians("broker", "RSS", IDLE)),
    Target("idle broker: wake-ups per minute", 0, "", _medians("broker", "wake-ups per minute", IDLE)),
]


def _with_unit(text, unit):
    return text + (unit if unit.startswith("/") else f" {unit}" if unit else "")


def _quantity(value, unit):
    return f"×{round(value, 3):g}" if unit == "×" else _with_unit(tables.number(value), unit)


def judge(target, found):
    """(the limit, the measurement, "met" or by how much it was missed)"""
    limit = f"×{target.limit:g}" if target.unit == "×" else _with_unit(f"{target.limit:,g}", target.unit)
    asked = f"{'at least' if target.at_least else 'at most'} {limit}"
    try:
        measured = list(target.measure(found))
    except NotMeasured:
        return asked, "", "not measured"
    worst = (min if target.at_least else max)(value for value, _ in measured)
    text = "; ".join((f"{what}: " if len(measured) > 1 else "") + _quantity(value, target.unit) for value, what in measured)
    by = target.limit - worst if target.at_least else worst - target.limit
    return asked, text, "met" if by <= 0 else f"**missed by {_quantity(by, target.unit)}**"


def lines(found):
    """The table of all targets, as tables.lines()."""
    return [["target", "limit", "measured", ""]] + [[target.text, *judge(target, found)] for target in TARGETS]
