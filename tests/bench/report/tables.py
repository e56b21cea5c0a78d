# SPDX-License-Identifier: BSD-3-Clause
"""Tables as text: Markdown for the document, columns for the terminal."""

import dataclasses

from . import results

DIFFERENCE, RATIO = "difference", "ratio"


@dataclasses.dataclass(frozen=True)
class Form:
    """How a table is shown."""
    corner: str = ""  # what the rows are
    compared: str = RATIO
    more: str = "difference"  # heading of the differences


FORMS = {
    "lookup": Form("packet", DIFFERENCE),
    "structures": Form("among", DIFFERENCE),
    "hooks": Form("call", DIFFERENCE),
    "tcp": Form("way"),
    "udp": Form("way"),
    "throughput": Form("way"),
    "hand-in": Form("clients"),
    "rules": Form("rules"),
    "compile": Form("rules"),
    "broker": Form("broker"),
}


def form_of(table):
    return FORMS.get(table.name, Form())


def number(value, signed=False):
    """A number with its significant digits, and thousands separated."""
    size = abs(value)
    digits = 0 if size >= 100 or size < 0.0005 else 1 if size >= 1 else 2 if size >= 0.1 else 3
    return f"{value:{'+' if signed else ''},.{digits}f}"


def spread(samples, signed=False):
    """" (low to high)", or nothing if there is only one value."""
    low, high = (number(value, signed) for value in samples.spread)
    return f" ({low} to {high})" if len(samples.values) > 1 and low != high else ""


def times(ratio):
    return f"×{ratio:.2f}" if ratio < 10 else f"×{ratio:.0f}"


def unit_of(table, column):
    return next(samples.unit for (_, other), samples in table.cells.items() if other == column)


def is_count(table, column):
    """Whether it counts how often something happened, for which a median is meaningless."""
    return unit_of(table, column) == ""


def heading(table, column):
    unit = unit_of(table, column)
    return f"{column}, total" if is_count(table, column) else column if unit.startswith("1/") else f"{column}, {unit}"


def is_compared(table, column):
    """Whether something in the column is compared with another column."""
    return any(other == column and samples.baseline is not None for (_, other), samples in table.cells.items())


def idle(table):
    """Counts that are zero everywhere: things that did not happen."""
    return [column for column in table.columns if is_count(table, column) and not any(
        any(samples.values) for (_, other), samples in table.cells.items() if other == column)]


def _difference_lines(table):
    form = form_of(table)
    units = {unit_of(table, column) for column in table.columns}
    unit = units.pop() if len(units) == 1 else None
    head = [", ".join(filter(None, [form.corner, unit]))]
    for column in table.columns:
        head.append(column if unit else heading(table, column))
        if is_compared(table, column):
            head.append(form.more)
    lines = [head]
    for row in table.rows:
        line = [row]
        for column in table.columns:
            samples = table.cells.get((row, column))
            line.append(number(samples.median) if samples else "")
            if is_compared(table, column):
                base = samples and table.base(row, column)
                more = results.differences(samples, base) if base else None
                line.append(number(more.median, True) + spread(more, True) if more else "")
        lines.append(line)
    return lines


def _ratio_cell(table, row, column):
    samples = table.cells.get((row, column))
    if not samples:
        return ""
    if is_count(table, column):
        return f"{sum(samples.values):,.0f}"
    base = table.base(row, column)
    beside = f" {times(results.ratios(samples, base).median)}" if base else ""
    return number(samples.median) + beside + spread(samples)


def _ratio_lines(table):
    columns = [column for column in table.columns if column not in idle(table)]
    lines = [[form_of(table).corner] + [heading(table, column) for column in columns]]
    for row in table.rows:
        lines.append([row] + [_ratio_cell(table, row, column) for column in columns])
    return lines


def lines(table):
    """Rows of cells, the headings first."""
    return _difference_lines(table) if form_of(table).compared == DIFFERENCE else _ratio_lines(table)


def legend(table):
    """What the figures of a cell are, or None if each cell has only one value."""
    compared = form_of(table).compared
    bases = dict.fromkeys(samples.baseline_row or samples.baseline for samples in table.cells.values()
                          if samples.baseline_row or samples.baseline)
    several = any(len(samples.values) > 1 for samples in table.cells.values())
    words = ["medians"] if several else []
    if bases and compared == DIFFERENCE:
        words.append(f"followed by the difference from '{list(bases)[0]}' with its 10th and 90th percentile")
    else:
        if bases:
            words.append(f"ratio (×) to '{list(bases)[0]}'")
        if several:
            words.append("10th to 90th percentile")
    if not words:
        return None
    text = ", ".join(words)
    return text[0].upper() + text[1:] + "."


def notes(table):
    """The sentences below a table."""
    zero = " and ".join(f"'{column}'" for column in idle(table))
    found = [f"Zero in every row: {zero}."] if zero else []
    if text := legend(table):
        found.insert(0, text)
    for text in dict.fromkeys(text for _, text in table.notes):
        rows = [row for row, other in table.notes if other == text and row is not None]
        text = f"{'; '.join(rows)}: {text}" if rows else text
        found.append(text if text.endswith(".") else f"{text}.")
    return found


def markdown(rows):
    """A table of text; the first row has the headings."""
    def line(cells):
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(rows[0]), line(["---"] * len(rows[0]))] + [line(row) for row in rows[1:]])


def plain(rows):
    """The same in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def document(table):
    """The text of a table in the document."""
    return "\n\n".join([markdown(lines(table)), *(["  \n".join(notes(table))] if notes(table) else [])])


def terminal(table):
    return "\n".join([f"== {table.name}", plain(lines(table)), *notes(table)])
