"""Each variant under this machine's roof: the rate that it reached over its FLOPs per byte.

After Williams, Waterman and Patterson, "Roofline" (2009).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.charts.panel import Panel
from profiles.report.charts.scales import Axis
from profiles.report.charts.svg import element, group, label, polyline, tooltip
from profiles.report.views.kernels import KernelTimes
from profiles.report.views.units import digits, percent_text
from vampnet_models.records.profiles import Peaks


def roofline_chart(
    found: Mapping[str, KernelTimes], marks: Mapping[str, Mark], *, name: str
) -> Markup:
    """Roofs of FP32 and INT8, and a mark per variant; the source is a plain dot."""
    peaks = next(iter(found.values())).peaks
    placed = {n: t for n, t in found.items() if t.roof.flops_per_byte and t.flops_per_s}
    rates = (peaks.fp32_flops_per_s, peaks.int8_ops_per_s)
    ridges = [rate / peaks.copy_bytes_per_s for rate in rates]
    x = _log_axis(
        "FLOP per byte moved", [*ridges, *(t.roof.flops_per_byte for t in placed.values())]
    )
    lowest = min((t.flops_per_s for t in placed.values()), default=peaks.fp32_flops_per_s)
    y = _log_axis("GFLOP/s", [v / 1e9 for v in (lowest, *rates)])
    panel = Panel(x, y)
    roofs = [
        _roof(panel, peaks, peaks.fp32_flops_per_s, "FP32", ""),
        _roof(panel, peaks, peaks.int8_ops_per_s, "INT8", " dashed"),
    ]
    points = [_point(panel, n, t, marks.get(n)) for n, t in placed.items()]
    return panel.draw(name, *roofs, *points)


def _roof(panel: Panel, peaks: Peaks, peak: float, text: str, css: str) -> Markup:
    """The memory slope up to the ridge, then the peak."""
    left, right = 10**panel.x.low, 10**panel.x.high
    ridge = peak / peaks.copy_bytes_per_s
    start = max(left, 10**panel.y.low * 1e9 / peaks.copy_bytes_per_s)
    corners = [(start, start * peaks.copy_bytes_per_s), (ridge, peak), (right, peak)]
    drawn = [(panel.at_x(a), panel.at_y(b / 1e9)) for a, b in corners]
    return group(
        "roof",
        tooltip(f"{text}: {digits(peak / 1e9)} G/s measured"),
        polyline(drawn, f"roof-line{css}"),
        label(panel.at_x(right), panel.at_y(peak / 1e9) - 4, text, "tick", "end"),
    )


def _point(panel: Panel, name: str, times: KernelTimes, mark: Mark | None) -> Markup:
    roof = times.roof
    x, y = panel.at_x(roof.flops_per_byte), panel.at_y(times.flops_per_s / 1e9)
    said = (
        f"{name}: {digits(times.flops_per_s / 1e9)} GFLOP/s at {digits(roof.flops_per_byte)} FLOP "
        f"per byte, {percent_text(roof.efficiency)} of its bound"
    )
    drawn = _dot(x, y) if mark is None else mark.path(x, y, 5.5)
    return group("point", tooltip(said), drawn)


def _dot(x: float, y: float) -> Markup:
    css = "mark source-colour filled"
    return element("circle", {"class": css, "cx": x, "cy": y, "r": 4.5})


def _log_axis(name: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis over whole powers of ten."""
    logs = [math.log10(v) for v in values if v > 0 and math.isfinite(v)] or [0.0]
    low, high = math.floor(min(logs)), math.ceil(max(logs) + 0.05)
    step = max(1, (high - low) // 5)
    ticks = tuple((10.0**p, f"{10.0**p:g}") for p in range(low, high + 1, step))
    return Axis(name, float(low), float(high), ticks, math.log10)
