# SPDX-License-Identifier: BSD-3-Clause
"""Plots as SVG: bars beside each other, and lines over a logarithmic axis."""

import html
import math

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600 }
.small { fill: #666 }
.back { fill: #fff }
.grid { stroke: #ddd }
.c0 { fill: #1668b8; stroke: #1668b8 } .c1 { fill: #d9730d; stroke: #d9730d } .c2 { fill: #9aa5b1; stroke: #9aa5b1 }
.line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .small { fill: #999 } .back { fill: #16191d } .grid { stroke: #383d44 }
  .c0 { fill: #5aa9f0; stroke: #5aa9f0 } .c1 { fill: #f0a050; stroke: #f0a050 } .c2 { fill: #6b7681; stroke: #6b7681 }
}
</style>"""
WIDTH = 720


def _text(x, y, text, kind="", anchor="start"):
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _frame(title, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{html.escape(title)}">', STYLE,
        f'<rect class="back" width="{WIDTH}" height="{height}"/>', _text(16, 26, title, "title"), *parts, "</svg>", ""])


def bars(title, rows):
    """@rows: (name, value, low, high, text at its end, whether it is highlighted)"""
    left, right, step = 180, WIDTH - 130, 30
    most = max(high for _, _, _, high, _, _ in rows) or 1
    parts = []
    for i, (name, value, low, high, label, matters) in enumerate(rows):
        y = 46 + i * step
        ends = [left + (right - left) * share / most for share in (value, low, high)]
        parts += [
            _text(left - 10, y + 14, name, anchor="end"),
            f'<rect class="c{0 if matters else 2}" x="{left}" y="{y}" width="{ends[0] - left:.1f}" height="19" rx="2"/>',
            _text(max(ends[0], ends[2]) + 8, y + 14, label, "small"),
        ]
        if low != high:
            parts.append(f'<path class="grid" d="M{ends[1]:.1f} {y + 9.5}H{ends[2]:.1f}" stroke-width="3"/>')
    return _frame(title, 46 + len(rows) * step + 10, parts)


def _round_up(value):
    """Round up to the next of 1, 2, 5, 10, 20 ..."""
    size = 10 ** math.floor(math.log10(value))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= value)


def lines(title, x_name, ticks, series):
    """@ticks: (x, text), all above zero; @series: (name, (x, y) pairs), the two highlighted ones first"""
    left, right, top, bottom = 60, WIDTH - 170, 50, 290
    span = math.log(ticks[-1][0] / ticks[0][0])
    step = _round_up(max(y for _, points in series for _, y in points) / 5)
    rows = math.ceil(max(y for _, points in series for _, y in points) / step)

    def place(x, y):
        return (left + (right - left) * math.log(x / ticks[0][0]) / span, bottom - (bottom - top) * y / (rows * step))

    parts = []
    for i in range(rows + 1):
        y = place(ticks[0][0], i * step)[1]
        parts += [f'<path class="grid" d="M{left} {y:.1f}H{right}"/>', _text(left - 8, y + 4, f"{i * step:g}", "small", "end")]
    for x, text in ticks:
        parts.append(_text(place(x, 0)[0], bottom + 20, text, "small", "middle"))
    parts.append(_text((left + right) / 2, bottom + 42, x_name, "small", "middle"))
    heights = []
    for i, (name, points) in enumerate(series):
        kind = f"c{min(i, 2)}"
        at = [place(x, y) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        parts.append(f'<path class="{kind} line" style="fill: none" d="M{path}"/>')
        parts += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in at]
        height = at[-1][1] + 4
        while any(abs(height - other) < 16 for other in heights):
            height -= 4
        heights.append(height)
        parts.append(_text(at[-1][0] + 10, height, name))
    return _frame(title, bottom + 58, parts)
