# SPDX-License-Identifier: BSD-3-Clause
"""The plots of the document, as SVG and as text, and their figures."""

from . import results, svg, tables

# number of prefixes, its text, row in the table of lookups, row in that of structures
CROWDS = [
    (1, "1", "prefix", "1 prefix"),
    (10, "10", "prefix among 10", None),
    (1000, "1,000", "prefix among 1k", "1k prefixes"),
    (100000, "100,000", "prefix among 100k", "100k prefixes"),
    (1000000, "1,000,000", "prefix among 1M", "1M prefixes"),
]
FAMILIES = "IPv4", "IPv6"
# name: table, column, title
BARS = {
    "tcp": ("tcp", "connections/s", "TCP connections per second"),
    "udp": ("udp", "one flow", "UDP packets per second that come back"),
    "throughput": ("throughput", "throughput", "Throughput of one established connection, Gbit/s"),
}
LOOKUP_TITLE = "Nanoseconds that a lookup adds to an empty program"
TEXT_WIDTH = 40


def text_bars(rows):
    """@rows: (name, value, the value as text, what to write after that)"""
    widths = [max(len(row[i]) for row in rows) for i in (0, 2, 3)]
    most = max(row[1] for row in rows) or 1
    return "\n".join("  ".join(filter(None, [
        name.ljust(widths[0]), text.rjust(widths[1]), more.ljust(widths[2]), "#" * round(TEXT_WIDTH * max(value, 0) / most)
    ])).rstrip() for name, value, text, more in rows)


def _bars(table, column, title):
    """(SVG, text)"""
    rows, texts = [], []
    for row in table.rows:
        samples = table.cells.get((row, column))
        if not samples:
            continue
        base = table.base(row, column)
        number = tables.number(samples.median)
        ratio = tables.times(results.ratios(samples, base).median) if base else ""
        rows.append((row, samples.median, *samples.spread, f"{number} {ratio}".rstrip(), row == "usher"))
        texts.append((row, samples.median, number, ratio))
    return svg.bars(title, rows), text_bars(texts)


def _crowds(table, column, names):
    """(number, nanoseconds more than the empty program) for those in the table."""
    found = []
    for n, name in names:
        if (name, column) in table.cells:
            more = results.differences(table.cells[name, column], table.cells[name, "empty"]).median
            found.append((n, more))
    return found


def _lookup(found):
    """(SVG, text)"""
    numbers = {n: text for n, text, _, _ in CROWDS}
    series = []
    for family in FAMILIES:
        points = _crowds(found.tables["lookup"], "usher", [(n, f"{family}, {row}") for n, _, row, _ in CROWDS])
        series.append((family, points))
    for family in FAMILIES if "structures" in found.tables else []:
        points = _crowds(found.tables["structures"], "LPM trie",
                         [(n, f"{family}, {row}") for n, _, _, row in CROWDS if row])
        series.append((f"LPM trie alone, {family}", points))
    series = [(name, points) for name, points in series if points]
    texts = [(f"{name}, {numbers[n]}", more, tables.number(more, True), "") for name, points in series for n, more in points]
    drawn = svg.lines(LOOKUP_TITLE, "prefixes of the port's rules", list(numbers.items()),
                      [(name, [(n, max(more, 0)) for n, more in points]) for name, points in series])
    return drawn, text_bars(texts)


def draw(found):
    """{name: (title, SVG, text)} of the plots for which there are results."""
    drawn = {}
    if "lookup" in found.tables:
        drawn["lookup"] = (LOOKUP_TITLE, *_lookup(found))
    for name, (table, column, title) in BARS.items():
        if table in found.tables and column in found.tables[table].columns:
            drawn[name] = (title, *_bars(found.tables[table], column, title))
    return drawn


def block(name, title, text):
    """The text of a plot in the document."""
    return f"![{title}; the same figures follow as text](performance-{name}.svg)\n\n```text\n{text}\n```"
