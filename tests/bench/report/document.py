# SPDX-License-Identifier: BSD-3-Clause
"""docs/performance.md: the text between <!-- begin NAME --> and <!-- end NAME --> comes from the results.

NAME is a table, `NAME-plot` a plot, `targets`, or `run`, the line about the run. Everything else is written by hand.
"""

import re

from . import plots, tables, targets

MARKER = re.compile(r"^<!-- (begin|end) (\S+) -->$", re.M)


class Disagreement(Exception):
    """The document and the results do not match; the text says how."""


def find(text):
    """{name: (start, end)} of the text between the markers. Raises Disagreement."""
    found, opened = {}, None
    for match in MARKER.finditer(text):
        kind, name = match.groups()
        if kind == "begin":
            if opened:
                raise Disagreement(f"'begin {name}' before the end of '{opened[0]}'")
            if name in found:
                raise Disagreement(f"'begin {name}' appears twice")
            opened = name, match.end() + 1
        elif not opened or opened[0] != name:
            raise Disagreement(f"'end {name}' without its beginning")
        else:
            found[name] = opened[1], match.start()
            opened = None
    if opened:
        raise Disagreement(f"'begin {opened[0]}' without its end")
    return found


def replace(text, blocks):
    """The document with these blocks. Raises Disagreement if it has other ones."""
    found = find(text)
    if missing := [name for name in blocks if name not in found]:
        raise Disagreement(f"there is no place for {', '.join(missing)}")
    if unknown := [name for name in found if name not in blocks]:
        raise Disagreement(f"nothing was measured for {', '.join(unknown)}")
    for name, (start, end) in sorted(found.items(), key=lambda item: item[1], reverse=True):
        text = text[:start] + f"\n{blocks[name]}\n\n" + text[end:]
    return text


def describe(run):
    """The line about the run."""
    cores = f"{run['cores']} core{'s' if run['cores'] != 1 else ''}"
    return f"{run['date']}, Linux {run['kernel']}, {run['processor']}, {cores}{run['machine']}; " \
           f"usher {run['usher']}."


def blocks(results):
    """{name: text} of everything that comes from results."""
    found = {"run": describe(results.run), "targets": tables.markdown(targets.lines(results))}
    for name, table in results.tables.items():
        found[name] = tables.document(table)
    for name, (title, _, text) in plots.draw(results).items():
        found[f"{name}-plot"] = plots.block(name, title, text)
    return found
