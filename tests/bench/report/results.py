# SPDX-License-Identifier: BSD-3-Clause
"""Results of a run: lines of JSON, by row and column.

The first line of a file is about the run: {"run": {"date": ..., "kernel": ..., ...}}. Every other line comes from a
benchmark, and is one of
  {"table": T, "row": R, "column": C, "unit": U, "values": [...]}   the value of each round
  {"table": T, "row": R, "note": N}                                 a note about a row without values
  {"table": T, "note": N}                                           a note about the whole table
Samples may also have a "note", and name what they are compared with: "baseline", another column of the row, or
"baseline_row", another row of the column. Rows and columns are shown in the order in which they come.
"""

import dataclasses
import json
import math
import statistics

RUN_KEYS = {"date", "kernel", "processor", "cores", "machine", "usher", "quick"}
KEYS = {"table", "row", "column", "unit", "values", "baseline", "baseline_row", "note"}


class Bad(Exception):
    """A line that cannot be understood; the text says where."""


@dataclasses.dataclass
class Samples:
    values: list
    unit: str
    baseline: str | None = None
    baseline_row: str | None = None

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """10th and 90th percentile."""
        return percentile(self.values, 0.1), percentile(self.values, 0.9)


@dataclasses.dataclass
class Table:
    name: str
    rows: list = dataclasses.field(default_factory=list)
    columns: list = dataclasses.field(default_factory=list)
    cells: dict = dataclasses.field(default_factory=dict)  # (row, column): Samples
    notes: list = dataclasses.field(default_factory=list)  # (row or None, text)

    def base(self, row, column):
        """The samples that these are compared with, or None."""
        samples = self.cells[row, column]
        if samples.baseline is not None:
            return self.cells.get((row, samples.baseline))
        if samples.baseline_row not in (None, row):
            return self.cells.get((samples.baseline_row, column))
        return None


@dataclasses.dataclass
class Results:
    run: dict
    tables: dict = dataclasses.field(default_factory=dict)  # name: Table


def percentile(values, share):
    """A percentile; between two values it is interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def compare(samples, base, function):
    """Samples of a function of (value, value of the base), round by round if both have the same number of rounds."""
    if len(samples.values) == len(base.values):
        pairs = zip(samples.values, base.values)
    else:
        pairs = [(samples.median, base.median)]
    return Samples([function(value, beside) for value, beside in pairs], samples.unit)


def differences(samples, base):
    return compare(samples, base, lambda value, beside: value - beside)


def ratios(samples, base):
    return compare(samples, base, lambda value, beside: value / beside if beside else math.inf)


def _is_text(line, *keys):
    return all(isinstance(line.get(key, ""), str) for key in keys)


def _check(line):
    """What is wrong with a line, or None."""
    if not isinstance(line, dict):
        return "not an object"
    if unknown := line.keys() - KEYS:
        return f"unknown: {', '.join(sorted(unknown))}"
    if not line.get("table") or not _is_text(line, *KEYS - {"values"}):
        return "the name of the table is missing, or something is not a text"
    if "values" not in line:
        return None if "note" in line and "column" not in line else "neither values nor a note of a row or table"
    if not {"row", "column", "unit"} <= line.keys():
        return "values without row, column or unit"
    values = line["values"]
    if not isinstance(values, list) or not values:
        return "no values"
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        return "a value that is not a number"
    if "baseline" in line and "baseline_row" in line:
        return "compared with two things"
    return None


def add(results, line):
    """Add the data of a line. Raises Bad."""
    if complaint := _check(line):
        raise Bad(complaint)
    table = results.tables.setdefault(line["table"], Table(line["table"]))
    row, note = line.get("row"), line.get("note")
    if row is not None and row not in table.rows:
        table.rows.append(row)
    if note is not None and (row, note) not in table.notes:
        table.notes.append((row, note))
    if "values" not in line:
        return
    column = line["column"]
    if (row, column) in table.cells:
        raise Bad(f"{line['table']}: two sets of values for '{row}', '{column}'")
    if column not in table.columns:
        table.columns.append(column)
    table.cells[row, column] = Samples(line["values"], line["unit"], line.get("baseline"), line.get("baseline_row"))


def check_baselines(results):
    """Raises Bad if samples are compared with missing ones."""
    for table in results.tables.values():
        for (row, column), samples in table.cells.items():
            if samples.baseline is not None and (row, samples.baseline) not in table.cells:
                raise Bad(f"{table.name}: '{row}' has no column '{samples.baseline}' to compare with")


def parse_line(text):
    """Raises Bad."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Bad(f"not JSON: {error}") from error


def load(path):
    """Results from a file. Raises Bad."""
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    results = None
    for number, text in enumerate(lines, 1):
        try:
            line = parse_line(text)
            if results:
                add(results, line)
            elif isinstance(line, dict) and isinstance(line.get("run"), dict) and line["run"].keys() == RUN_KEYS:
                results = Results(line["run"])
            else:
                raise Bad("does not say which run this is")
        except Bad as error:
            raise Bad(f"{path}:{number}: {error}") from None
    if not results:
        raise Bad(f"{path}: empty")
    check_baselines(results)
    return results
