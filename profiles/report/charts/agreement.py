"""Token agreement per codebook or per mask ratio, with the floor drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.charts.panel import TOP, Panel
from profiles.report.charts.scales import Axis, agreement_axis
from profiles.report.charts.svg import group, polyline, tooltip


@dataclass(frozen=True)
class Series:
    """One variant's agreement (0 to 1) at each x, in x order."""

    mark: Mark
    values: tuple[tuple[float, float], ...]


def agreement_chart(
    series: Sequence[Series], x: Axis, *, name: str, label: str, floor: Series | None
) -> Markup:
    """A line per variant; `floor` holds the reference against itself (its mark is not drawn)."""
    shares = [value for s in (*series, *([floor] if floor else [])) for _, value in s.values]
    panel = Panel(x, agreement_axis(shares, label))
    parts = [] if floor is None else [_floor(panel, floor)]
    parts += [_line(panel, s) for s in series]
    return panel.draw(name, *parts)


def codebook_axis(codebooks: Sequence[int]) -> Axis:
    """A tick per codebook, every second one where they are many."""
    low, high = min(codebooks), max(codebooks)
    stride = 2 if high - low > 9 else 1
    ticks = tuple((float(c), str(c)) for c in range(low, high + 1, stride))
    pad = 0.5 if low == high else 0.0
    return Axis("codebook", low - pad, high + pad, ticks)


def mask_ratio_axis() -> Axis:
    """Mask ratios from 0 to 100 %."""
    ticks = tuple((r / 100, f"{r}\u00a0%") for r in (0, 25, 50, 75, 100))
    return Axis("mask ratio", 0.0, 1.0, ticks)


def _floor(panel: Panel, floor: Series) -> Markup:
    if len({value for _, value in floor.values}) == 1:
        return panel.band(floor.values[0][1])
    points = [(panel.at_x(x), panel.at_y(value)) for x, value in floor.values]
    above = [*points, (points[-1][0], TOP), (points[0][0], TOP)]
    return group("floor", polyline(above, "floor-band"), polyline(points, "floor-line"))


def _line(panel: Panel, series: Series) -> Markup:
    points = [(panel.at_x(x), panel.at_y(value)) for x, value in series.values]
    return group(
        "series",
        tooltip(series.mark.name),
        polyline(points, f"trace c{series.mark.colour}"),
        *(series.mark.path(x, y, 4.2) for x, y in points),
    )
