"""A value as the page shows it: a measurement, an estimate and a gap never look alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from profiles.report.views.units import NOT_MEASURED


@dataclass(frozen=True)
class Cell:
    """Text with its unit; `lines` stand smaller below it; `order` is what a table sorts by."""

    text: str
    kind: Literal["measurement", "estimate", "absent", "fact"]
    order: float | str | None = None
    lines: tuple[str, ...] = ()


def measured(
    value: float | None, text: Callable[[float], str], lines: tuple[str, ...] = ()
) -> Cell:
    """A measured number, or a gap where it is None."""
    if value is None:
        return absent()
    return Cell(text(value), "measurement", value, lines)


def fact(value: float | None, text: Callable[[float], str], lines: tuple[str, ...] = ()) -> Cell:
    """A number that is read off rather than measured (a size), or a gap."""
    if value is None:
        return absent("not recorded")
    return Cell(text(value), "fact", value, lines)


def estimate(text: str, order: float | None, lines: tuple[str, ...] = ()) -> Cell:
    """An estimated value."""
    return Cell(text, "estimate", order, lines)


def absent(text: str = NOT_MEASURED, lines: tuple[str, ...] = ()) -> Cell:
    """A gap, said in words."""
    return Cell(text, "absent", None, lines)


def words(text: str) -> Cell:
    """Plain words."""
    return Cell(text, "fact", text)
