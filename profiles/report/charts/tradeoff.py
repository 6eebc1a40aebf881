"""What a variant costs in size or time against what it keeps of the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.charts.panel import Panel, ring
from profiles.report.charts.scales import Axis
from profiles.report.charts.svg import group, polyline, tooltip


@dataclass(frozen=True)
class Point:
    """One variant. `x` is its cost, `y` what it keeps (share, or dB; infinite is the top)."""

    mark: Mark
    x: float
    y: float
    x_range: tuple[float, float] | None
    y_range: tuple[float, float] | None
    measured: bool
    missed: bool
    text: str


def tradeoff_chart(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    name: str,
    floor: float | None = None,
    source_x: float | None = None,
) -> Markup:
    """Points with their ranges, the best trade-offs joined by a step line.

    Measured points are filled; estimates are hollow with the range they span.
    """
    panel = Panel(x, y)
    parts = [] if floor is None else [panel.band(floor)]
    if source_x is not None:
        parts.append(panel.upright(source_x, "FP32 source"))
    steps = _steps(panel, best(points))
    if len(steps) > 1:
        parts.append(polyline(steps, "best"))
    parts += [_draw(panel, point) for point in points]
    return panel.draw(name, *parts)


def best(points: Sequence[Point]) -> list[Point]:
    """The measured points that no other beats in both cost and quality, cheapest first."""
    kept: list[Point] = []
    for point in sorted((p for p in points if p.measured), key=lambda p: (p.x, -p.y)):
        if not kept or point.y > kept[-1].y:
            kept.append(point)
    return kept


def _steps(panel: Panel, points: Sequence[Point]) -> list[tuple[float, float]]:
    corners: list[tuple[float, float]] = []
    for point in points:
        at = (panel.at_x(point.x), panel.at_y(point.y))
        if corners:
            corners.append((at[0], corners[-1][1]))
        corners.append(at)
    return corners


def _draw(panel: Panel, point: Point) -> Markup:
    x, y = panel.at_x(point.x), panel.at_y(point.y)
    css = f"whisker c{point.mark.colour}"
    parts = [tooltip(point.text)]
    if point.x_range is not None:
        parts.append(panel.whisker_x(*point.x_range, y, css))
    if point.y_range is not None and all(math.isfinite(v) for v in point.y_range):
        parts.append(panel.whisker_y(*point.y_range, x, css))
    if point.missed:
        parts.append(ring(x, y))
    parts.append(point.mark.path(x, y, 5.5, filled=point.measured))
    return group("point", *parts)
