# SPDX-License-Identifier: BSD-3-Clause
"""Each-choice coverage: of a parametrized test, so many cases that each value of each parameter is in one of them."""

import collections


def _values(item):
    """The values of one case. Parameters that one parametrize() names together are one value."""
    spec = getattr(item, "callspec", None)
    if not spec:
        return set()
    together = [mark.args[0] for mark in item.iter_markers("parametrize")]
    together = [names.replace(",", " ").split() if isinstance(names, str) else names for names in together]
    alone = [[name] for name in spec.params if not any(name in names for names in together)]
    return {(*names, repr([spec.params[name] for name in names])) for names in together + alone}


def each_choice(items):
    """Split pytest items into those that run and those left out. A test without parameters runs."""
    cases = collections.defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append((item, _values(item)))
    chosen = set()
    for ways in cases.values():
        left = set().union(*[values for _, values in ways])
        if not left:
            chosen.update(item for item, _ in ways)
        while left:
            item, values = max(ways, key=lambda way: len(way[1] & left))
            chosen.add(item)
            left -= values
    return [item for item in items if item in chosen], [item for item in items if item not in chosen]
