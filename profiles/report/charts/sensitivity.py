"""What each block of a tuned model costs in each precision: a row per block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.charts.scales import Axis
from profiles.report.charts.svg import figure, group, label, line, rectangle, tooltip
from vampnet_models.records.results import Block, BlockOption

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 760.0, 290.0, 14.0, 30.0, 19.0, 44.0
_LEAST = 1e-8
"""Less damage than this is drawn as this."""

_MOST_LETTERS = 40


def sensitivity_chart(blocks: Sequence[Block], marks: Mapping[str, Mark], *, name: str) -> Markup:
    """Bars to the damage of the precision that was chosen, a mark for each other one."""
    worst = max((o.damage or 0.0 for b in blocks for o in b.options), default=_LEAST)
    axis = _axis(max(worst, 10 * _LEAST))
    height = TOP + ROW * len(blocks) + BOTTOM
    bottom = height - BOTTOM

    def at(damage: float) -> float:
        return LEFT + axis.position(max(damage, _LEAST)) * (WIDTH - LEFT - RIGHT)

    frame = [line(at(v), TOP, at(v), bottom, "grid") for v, _ in axis.ticks]
    frame += [label(at(v), bottom + 17, text, "tick", "middle") for v, text in axis.ticks]
    frame += [
        label((LEFT + WIDTH - RIGHT) / 2, height - 6, axis.label, "axis-label", "middle"),
        label(4, 14, "block (bar: what it got)", "axis-label"),
    ]
    rows = []
    for i, block in enumerate(blocks):
        y = TOP + ROW * (i + 0.5)
        parts = [label(4, y + 4, _short(block.block), "tick")]
        # What it got comes last, above what coincides with it.
        for option in sorted(block.options, key=lambda o: o.precision == block.chosen):
            mark = marks.get(option.precision)
            if mark is None or option.damage is None:
                continue
            shown = [tooltip(_said(block, option))]
            if option.precision == block.chosen:
                width = max(at(option.damage) - LEFT, 1.5)
                shown.append(rectangle(LEFT, y - 5, width, 10, f"spread c{mark.colour}"))
            shown.append(mark.path(at(option.damage), y, 4.0))
            parts.append(group("option", *shown))
        rows.append(group("row", *parts))
    return figure(WIDTH, height, name, *frame, *rows)


def _axis(worst: float) -> Axis:
    low, high = math.log10(_LEAST), math.log10(worst) + 0.2
    powers = range(math.ceil(low), math.floor(high) + 1, 2)
    ticks = tuple((10.0**p, "0" if p == math.ceil(low) else f"1e{p}") for p in powers)
    return Axis("damage by this block alone, logarithmic", low, high, ticks, math.log10)


def _said(block: Block, option: BlockOption) -> str:
    chosen = ", chosen" if option.precision == block.chosen else ""
    time = "" if option.time_ratio is None else f", {option.time_ratio:.2f} x the model's time"
    return f"{block.block}: {option.precision}{chosen}: damage {option.damage:.2e}{time}"


def _short(name: str) -> str:
    """The end of a long name tells blocks apart."""
    return name if len(name) <= _MOST_LETTERS else f"…{name[1 - _MOST_LETTERS :]}"
