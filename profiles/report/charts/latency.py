"""Where the measured times lie: every sample, the p10 to p90 range and the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.charts.scales import seconds_axis
from profiles.report.charts.svg import element, figure, group, label, line, rectangle, tooltip

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 360.0, 106.0, 14.0, 30.0, 25.0, 44.0
_MOST_DOTS = 120
_LETTER = 6.2
"""About the width of a letter: longer names move the axis to the right."""


@dataclass(frozen=True)
class Spread:
    """One variant's times in seconds; `mark` is None for the FP32 source."""

    name: str
    mark: Mark | None
    median_s: float
    p10_s: float | None
    p90_s: float | None
    samples_s: tuple[float, ...]
    text: str


def latency_chart(spreads: Sequence[Spread], *, name: str) -> Markup:
    """A row per variant, times from 0; slow outliers stay in the picture."""
    longest = max(max(s.median_s, s.p90_s or 0.0, *s.samples_s) for s in spreads)
    axis = seconds_axis("time of one call (dots: samples; bar: p10 to p90)", [longest])
    height = TOP + ROW * len(spreads) + BOTTOM
    bottom = height - BOTTOM

    left = max(LEFT, 22 + _LETTER * max(len(s.name) for s in spreads) + 6)

    def at(value_s: float) -> float:
        return left + axis.position(value_s) * (WIDTH - left - RIGHT)

    frame = [line(at(v), TOP, at(v), bottom, "grid") for v, _ in axis.ticks]
    frame += [label(at(v), bottom + 17, text, "tick", "middle") for v, text in axis.ticks]
    frame += [
        label((left + WIDTH - RIGHT) / 2 - 30, height - 6, axis.label, "axis-label", "middle"),
        label(4, 14, "CPU time per variant", "axis-label"),
    ]
    rows = []
    for i, spread in enumerate(spreads):
        y = TOP + ROW * (i + 0.5)
        colour = "source-colour" if spread.mark is None else f"c{spread.mark.colour}"
        parts = [tooltip(spread.text), label(22, y + 4, spread.name, "tick")]
        if spread.mark is not None:
            parts.append(spread.mark.path(11, y, 4.6))
        if spread.p10_s is not None and spread.p90_s is not None:
            width = max(at(spread.p90_s) - at(spread.p10_s), 1.5)
            parts.append(rectangle(at(spread.p10_s), y - 5, width, 10, f"spread {colour}"))
        stride = -(-len(spread.samples_s) // _MOST_DOTS) or 1
        parts += [
            element("circle", {"class": f"dot {colour}", "cx": at(s), "cy": y, "r": 1.6})
            for s in sorted(spread.samples_s, reverse=True)[::stride]
        ]
        parts.append(
            line(at(spread.median_s), y - 8, at(spread.median_s), y + 8, f"median {colour}")
        )
        rows.append(group("row", *parts))
    return figure(WIDTH, height, name, group("frame", *frame), *rows)
