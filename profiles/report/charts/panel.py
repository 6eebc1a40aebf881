"""The common frame of the charts: axes, grid, floor; and the plot's coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.charts.scales import Axis
from profiles.report.charts.svg import element, figure, group, label, line, rectangle

WIDTH, HEIGHT = 360.0, 268.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 30.0, 44.0
_INSET = 9.0


@dataclass(frozen=True)
class Panel:
    """A chart of `WIDTH` by `HEIGHT` with two axes; y grows upwards."""

    x: Axis
    y: Axis

    def at_x(self, value: float) -> float:
        """The pixel column of a value."""
        return LEFT + _INSET + self.x.position(value) * (WIDTH - LEFT - RIGHT - 2 * _INSET)

    def at_y(self, value: float) -> float:
        """The pixel row of a value."""
        return (
            HEIGHT - BOTTOM - _INSET - self.y.position(value) * (HEIGHT - TOP - BOTTOM - 2 * _INSET)
        )

    def draw(self, name: str, *content: Markup) -> Markup:
        """The frame and what is in it; `name` is the chart's text for screen readers."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = [
            line(LEFT, self.at_y(value), right, self.at_y(value), "grid")
            for value, _ in self.y.ticks
        ]
        parts += [
            line(self.at_x(value), bottom, self.at_x(value), bottom + 4, "axis")
            for value, _ in self.x.ticks
        ]
        parts.append(line(LEFT, bottom, right, bottom, "axis"))
        parts += [
            label(LEFT - 7, self.at_y(value) + 4, text, "tick", "end")
            for value, text in self.y.ticks
        ]
        parts += [
            label(self.at_x(value), bottom + 17, text, "tick", "middle")
            for value, text in self.x.ticks
        ]
        parts.append(label((LEFT + right) / 2, HEIGHT - 6, self.x.label, "axis-label", "middle"))
        parts.append(label(4, 14, self.y.label, "axis-label"))
        return figure(WIDTH, HEIGHT, name, group("frame", *parts), *content)

    def band(self, floor: float) -> Markup:
        """The floor: from here up, a variant cannot be told from the reference itself."""
        y, right = self.at_y(floor), WIDTH - RIGHT
        return group(
            "floor",
            rectangle(LEFT, TOP, right - LEFT, y - TOP, "floor-band"),
            line(LEFT, y, right, y, "floor-line"),
        )

    def upright(self, value: float, text: str) -> Markup:
        """A dashed vertical, where the FP32 source stands."""
        x = self.at_x(value)
        anchor, shift = ("end", 4.0) if x > (LEFT + WIDTH) / 2 else ("start", -4.0)
        return group(
            "source",
            line(x, TOP - 1, x, HEIGHT - BOTTOM, "source-line"),
            label(x + shift, TOP - 5, text, "tick", anchor),
        )

    def whisker_x(self, low: float, high: float, y: float, css: str) -> Markup:
        """A horizontal range at row `y` (pixels)."""
        x1, x2 = self.at_x(low), self.at_x(high)
        return group(
            css,
            line(x1, y, x2, y, ""),
            line(x1, y - 3, x1, y + 3, ""),
            line(x2, y - 3, x2, y + 3, ""),
        )

    def whisker_y(self, low: float, high: float, x: float, css: str) -> Markup:
        """A vertical range at column `x` (pixels)."""
        y1, y2 = self.at_y(low), self.at_y(high)
        return group(
            css,
            line(x, y1, x, y2, ""),
            line(x - 3, y1, x + 3, y1, ""),
            line(x - 3, y2, x + 3, y2, ""),
        )


def ring(x: float, y: float) -> Markup:
    """Drawn around a mark that missed its promise."""
    return element("circle", {"class": "missed-ring", "cx": x, "cy": y, "r": 10.5})
