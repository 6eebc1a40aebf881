"""Time now over time then, a row per variant, with its interval and the noise of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from profiles.measure.stats import OTHER_RUN_MARGIN, Ratio
from profiles.report.charts.marks import Mark
from profiles.report.charts.scales import linear_axis
from profiles.report.charts.svg import figure, group, label, line, rectangle, tooltip
from profiles.report.views.units import ratio_text

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 360.0, 106.0, 14.0, 14.0, 25.0, 44.0


@dataclass(frozen=True)
class Moved:
    """One variant's ratio."""

    name: str
    mark: Mark
    ratio: Ratio
    text: str


def change_chart(moved: Sequence[Moved], *, name: str) -> Markup:
    """Left of 1 is faster now; within the band two runs of one model differ by themselves."""
    ends = [e for m in moved for e in (m.ratio.low, m.ratio.high)]
    axis = linear_axis(
        "time now, as a multiple of then", min(0.8, *ends), max(1.2, *ends), ratio_text, 4
    )
    height = TOP + ROW * len(moved) + BOTTOM
    bottom = height - BOTTOM

    def at(ratio: float) -> float:
        return LEFT + axis.position(ratio) * (WIDTH - LEFT - RIGHT)

    low, high = at(1 - OTHER_RUN_MARGIN), at(1 + OTHER_RUN_MARGIN)
    frame = [
        rectangle(low, TOP, high - low, bottom - TOP, "floor-band"),
        line(at(1.0), TOP, at(1.0), bottom, "source-line"),
        *(label(at(v), bottom + 17, text, "tick", "middle") for v, text in axis.ticks),
        label((LEFT + WIDTH - RIGHT) / 2, height - 6, axis.label, "axis-label", "middle"),
    ]
    rows = []
    for i, each in enumerate(moved):
        y = TOP + ROW * (i + 0.5)
        whisker = group(
            f"whisker c{each.mark.colour}", line(at(each.ratio.low), y, at(each.ratio.high), y, "")
        )
        point = each.mark.path(at(each.ratio.value), y, 5.0)
        parts = (tooltip(each.text), label(4, y + 4, each.name, "tick"), whisker, point)
        rows.append(group("row", *parts))
    return figure(WIDTH, height, name, group("frame", *frame), *rows)
