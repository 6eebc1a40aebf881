"""SVG as escaped strings: elements, text and the frame of a figure."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup, escape

_Value = str | float | int


def element(name: str, attributes: Mapping[str, _Value], *children: Markup) -> Markup:
    """One element; attribute values are escaped, underscores stay, numbers get two decimals."""
    written = Markup("").join(
        Markup(' {}="{}"').format(Markup(key), _value(value)) for key, value in attributes.items()
    )
    tag = Markup(name)
    if not children:
        return Markup("<{}{}/>").format(tag, written)
    return Markup("<{}{}>{}</{}>").format(tag, written, Markup("").join(children), tag)


def group(css: str, *children: Markup) -> Markup:
    """A group of a class; empty groups vanish."""
    return element("g", {"class": css}, *children) if children else Markup("")


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return element("line", {"class": css, "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def rectangle(x: float, y: float, width: float, height: float, css: str) -> Markup:
    """A rectangle; a negative extent is drawn as none."""
    return element(
        "rect",
        {"class": css, "x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0)},
    )


def label(x: float, y: float, text: str, css: str, anchor: str = "start") -> Markup:
    """A line of text, escaped."""
    return element(
        "text", {"class": css, "x": x, "y": y, "text-anchor": anchor}, Markup(escape(text))
    )


def polyline(points: list[tuple[float, float]], css: str) -> Markup:
    """An open line through points."""
    joined = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return element("polyline", {"class": css, "points": joined})


def tooltip(text: str) -> Markup:
    """What a pointer or a screen reader finds on an element."""
    return element("title", {}, Markup(escape(text)))


def figure(width: float, height: float, name: str, *children: Markup) -> Markup:
    """The outer `svg`: scales down with its column, never above its natural size."""
    return element(
        "svg",
        {
            "class": "chart",
            "viewBox": f"0 0 {width:g} {height:g}",
            "width": width,
            "height": height,
            "role": "img",
            "aria-label": name,
        },
        *children,
    )


def _value(value: _Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
