"""Data to pixels: axes with their ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from profiles.report.views.units import (
    agreement_text,
    bytes_text,
    count_text,
    seconds_text,
    without_zeros,
)

_NEAR_ONE = 1e-4
_AGREEMENT_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
_AGREEMENT_BOTTOMS = (0.0, 0.5, 0.8, 0.9, 0.99)


@dataclass(frozen=True)
class Axis:
    """A labelled axis from `low` to `high`, both after `transform`."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    transform: Callable[[float], float] = float

    def position(self, value: float) -> float:
        """Where `value` lies: 0 at the low end, 1 at the high end, clamped to both."""
        at = (self.transform(value) - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, at))


def _stretched(share: float) -> float:
    """An agreement on a scale that shows 99 % and 99.9 % apart: the logarithm of what disagrees.

    0 maps to 0, 90 % to about 1, 99 % to about 2, 100 % to 4.
    """
    share = min(1.0, max(0.0, share))
    return -math.log10(1.0 - share * (1.0 - _NEAR_ONE))


def agreement_axis(shares: Iterable[float], label: str = "token agreement") -> Axis:
    """The stretched agreement axis, from a round tick below the least value to 100 %."""
    least = min((s for s in shares if math.isfinite(s)), default=0.9)
    bottom = max(b for b in _AGREEMENT_BOTTOMS if b <= max(least, 0.0))
    low = _stretched(bottom)
    room = 0.07 * (4.0 - low)
    kept = [1.0]
    for tick in reversed([t for t in _AGREEMENT_TICKS if bottom < t < 1.0]):
        at = _stretched(tick)
        if _stretched(kept[-1]) - at >= room and at - low >= room:
            kept.append(tick)
    ticks = [(tick, without_zeros(agreement_text(tick))) for tick in (bottom, *reversed(kept))]
    return Axis(label, low, 4.0, tuple(ticks), _stretched)


def linear_axis(
    label: str, low: float, high: float, text: Callable[[float], str], steps: int = 5
) -> Axis:
    """A linear axis with at most `steps` and one round ticks."""
    if high <= low:
        high = low + 1.0
    step = _round_step((high - low) / steps)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    ticks = tuple((i * step, text(i * step)) for i in range(first, last + 1))
    return Axis(label, low, high, ticks)


def bytes_axis(label: str, values: Iterable[float]) -> Axis:
    """File sizes from 0 to a little above the largest."""
    return linear_axis(label, 0.0, 1.06 * max(values, default=1.0), _plain(bytes_text))


def seconds_axis(label: str, values: Iterable[float]) -> Axis:
    """Times from 0 to a little above the largest."""
    return linear_axis(label, 0.0, 1.06 * max(values, default=1.0), _plain(seconds_text))


def db_axis(label: str, values: Iterable[float]) -> Axis:
    """Decibels, with room above the largest finite value for those that are infinite."""
    finite = [v for v in values if math.isfinite(v)] or [0.0]
    low, high = min([0.0, *finite]), max(finite)
    high = max(high + 0.12 * (high - low), low + 10.0)
    return linear_axis(label, low, high, lambda v: f"{count_text(v)}\u00a0dB")


def _round_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten at or above `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))


def _plain(text: Callable[[float], str]) -> Callable[[float], str]:
    """Ticks are round: `5 MB` rather than `5.00 MB`, and plain `0`."""

    def short(value: float) -> str:
        return "0" if value == 0 else without_zeros(text(value))

    return short
