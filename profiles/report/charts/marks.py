"""One shape and one colour per recipe, the same in every chart and table.

Colours are after Okabe and Ito's palette for colour vision deficiency ("Color Universal Design",
2008), shifted per theme to a contrast of 3:1; the shape tells recipes apart without any colour.
Filled means measured, hollow means estimated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.charts.svg import element

N_COLOURS = 8
_SHAPES = (
    "circle",
    "square",
    "triangle",
    "diamond",
    "down",
    "pentagon",
    "plus",
    "star",
    "hexagon",
)
_KNOWN = ("fused", "fp16", "int8-static", "int8-dynamic", "int8-weights", "int4-weights")


@dataclass(frozen=True)
class Mark:
    """How a recipe is drawn."""

    name: str
    shape: str
    colour: int

    def path(self, x: float, y: float, radius: float, *, filled: bool = True) -> Markup:
        """The mark as a path centred on (x, y)."""
        css = f"mark c{self.colour} {'filled' if filled else 'hollow'}"
        return element("path", {"class": css, "d": outline(self.shape, x, y, radius)})

    @property
    def icon(self) -> Markup:
        """The mark beside a name in running text."""
        return element(
            "svg",
            {
                "class": "icon",
                "viewBox": "0 0 16 16",
                "width": 14,
                "height": 14,
                "aria-hidden": "true",
            },
            self.path(8, 8, 5.5),
        )


def marks_for(recipes: Iterable[str]) -> dict[str, Mark]:
    """A mark per recipe: fixed for the known ones, in order of appearance for others."""
    others = [r for r in dict.fromkeys(recipes) if r not in _KNOWN]
    return numbered((*_KNOWN, *others))


def numbered(names: Iterable[str]) -> dict[str, Mark]:
    """A mark per name in order: for what is no recipe."""
    return {
        name: Mark(name, _SHAPES[i % len(_SHAPES)], i % N_COLOURS) for i, name in enumerate(names)
    }


def outline(shape: str, x: float, y: float, radius: float) -> str:
    """The SVG path of a shape, of about the same area for all."""
    if shape == "circle":
        r = radius * 0.95
        return (
            f"M{x - r:.2f} {y:.2f}a{r:.2f} {r:.2f} 0 1 0 {2 * r:.2f} 0a{r:.2f} {r:.2f} 0 1 0 "
            + (f"{-2 * r:.2f} 0z")
        )
    if shape == "plus":
        a, b = radius * 1.1, radius * 0.4
        corners = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b)]
        corners += [(b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)]
    elif shape == "star":
        corners = _ring(10, -90, radius * 1.3, inner=radius * 0.58)
    else:
        n, start, scale = {
            "square": (4, 45, 1.2),
            "triangle": (3, -90, 1.3),
            "diamond": (4, 0, 1.22),
            "down": (3, 90, 1.3),
            "pentagon": (5, -90, 1.12),
            "hexagon": (6, 0, 1.08),
        }[shape]
        corners = _ring(n, start, radius * scale)
    return "M" + "L".join(f"{x + dx:.2f} {y + dy:.2f}" for dx, dy in corners) + "z"


def _ring(
    n: int, start_deg: float, radius: float, inner: float | None = None
) -> list[tuple[float, float]]:
    points = []
    for i in range(n):
        angle = math.radians(start_deg + 360 * i / n)
        r = inner if inner is not None and i % 2 else radius
        points.append((r * math.cos(angle), r * math.sin(angle)))
    return points
