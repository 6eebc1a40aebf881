"""Where a run's time goes: a stacked bar per variant, a segment per operator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from markupsafe import Markup

from profiles.report.charts.marks import N_COLOURS, Mark, numbered
from profiles.report.charts.scales import seconds_axis
from profiles.report.charts.svg import element, figure, group, label, line, rectangle, tooltip
from profiles.report.views.kernels import KernelTimes
from profiles.report.views.units import percent_text, seconds_text

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 760.0, 106.0, 14.0, 14.0, 27.0, 44.0
OTHERS, OUTSIDE = "other operators", "outside of kernels"
_LETTER = 6.4
"""About the width of a letter; a name stands in its segment where it fits."""


def operator_marks(found: Mapping[str, KernelTimes]) -> dict[str, Mark]:
    """A mark for each of the operators with the largest share of a variant, and the others.

    By shares: by seconds, a quick variant's own operators would all be among the others.
    """
    shares: defaultdict[str, float] = defaultdict(float)
    for times in found.values():
        whole_s = sum(row.seconds for row in times.traced.by_operator)
        for row in times.traced.by_operator:
            shares[row.name] = max(shares[row.name], row.seconds / whole_s if whole_s else 0.0)
    names = sorted(shares, key=lambda name: -shares[name])
    kept = names if len(names) <= N_COLOURS else [*names[: N_COLOURS - 1], OTHERS]
    return numbered(kept)


def operator_chart(
    found: Mapping[str, KernelTimes], marks: Mapping[str, Mark], *, name: str
) -> Markup:
    """A bar per variant, the operators in one order in all; hollow: time outside of kernels.

    A bar is as long as the measured median, so that bars compare; the trace only divides it.
    """
    longest = max(sum(s for _, s in segments(times, marks)) for times in found.values())
    axis = seconds_axis("measured median, divided as the runtime's own trace divides it", [longest])
    height = TOP + ROW * len(found) + BOTTOM
    bottom = height - BOTTOM

    def at(value_s: float) -> float:
        return LEFT + axis.position(value_s) * (WIDTH - LEFT - RIGHT)

    frame = [line(at(v), TOP, at(v), bottom, "grid") for v, _ in axis.ticks]
    frame += [label(at(v), bottom + 17, text, "tick", "middle") for v, text in axis.ticks]
    frame.append(label((LEFT + WIDTH - RIGHT) / 2, height - 6, axis.label, "axis-label", "middle"))
    rows = []
    for i, (variant, times) in enumerate(found.items()):
        y = TOP + ROW * i + 3
        parts, start = [label(4, y + 15, variant, "tick")], 0.0
        for operator, seconds in segments(times, marks):
            parts.append(_segment(variant, operator, at(start), at(start + seconds), y, marks))
            text = f"{variant}: {operator} {seconds_text(seconds)}"
            share = f", {percent_text(seconds / times.median_s)}" if times.median_s else ""
            parts[-1] = group("segment", tooltip(text + share), parts[-1])
            start += seconds
        rows.append(group("row", *parts))
    return figure(WIDTH, height, name, group("frame", *frame), *rows)


def segments(times: KernelTimes, marks: Mapping[str, Mark]) -> list[tuple[str, float]]:
    """(operator, its part of the median) in the order of the marks, then what lies outside."""
    own = {row.name: row.seconds for row in times.traced.by_operator}
    # Medians of single operators need not sum to the median of whole runs.
    traced_s = sum(own.values()) + times.traced.outside_s
    scale = times.median_s / traced_s if traced_s else 0.0
    rest = sum(seconds for name, seconds in own.items() if name not in marks)
    listed = [(n, rest if n == OTHERS else own.get(n, 0.0)) for n in marks]
    listed.append((OUTSIDE, times.traced.outside_s))
    return [(n, s * scale) for n, s in listed if s * scale > 0]


def _segment(
    variant: str, operator: str, x1: float, x2: float, y: float, marks: Mapping[str, Mark]
) -> Markup:
    mark = marks.get(operator)
    css = "part outside" if mark is None else f"part c{mark.colour}"
    parts = [rectangle(x1, y, x2 - x1, ROW - 7, css)]
    if len(operator) * _LETTER < x2 - x1 - 6:
        parts.append(label(x1 + 4, y + 14, operator, "inside"))
    elif mark is not None and x2 - x1 > 12:
        parts.append(mark.path((x1 + x2) / 2, y + (ROW - 7) / 2, 4.0))
    return element("g", {}, *parts)
