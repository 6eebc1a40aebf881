"""From what a tensor held to the range that a quantizer should cover.

`MinMax` and `Histogram` take values as they come and keep a bounded state; the `*_range`
functions choose a range from a finished histogram. All ranges lie within what was seen,
extended to zero, which a quantizer must represent anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

N_BINS = 2048
"""Eight for each level, so that a range can be cut finer than by whole steps."""

_LEVELS = 256
"""Values of an 8-bit quantizer."""

_PERCENTILE = 99.999
"""One value in 100,000 is left out: tensors have millions over all feeds."""

_CHUNK = 1 << 20
"""Values counted at a time, which bounds the temporary arrays."""


@dataclass(frozen=True)
class Range:
    """The least and the largest value to represent.

    `mean` and `count` are of the values that were seen, where these are their extremes.
    """

    low: float
    high: float
    mean: float | None = field(default=None, compare=False)
    count: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ChannelRange:
    """The least and the largest value per channel, and the mean where known, `[channels]`.

    `count` is how many values of each channel were seen, where these are their extremes.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float64] | None = None
    count: int | None = None


class MinMax:
    """Extremes and sums over all updates, of scalars or of channels."""

    def __init__(self) -> None:
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None
        self.total: NDArray[np.float64] = np.zeros(())
        self.count = 0

    def update(
        self,
        low: NDArray[np.float32],
        high: NDArray[np.float32],
        total: NDArray[np.float64] | None = None,
        count: int = 0,
    ) -> None:
        """Take in the extremes of one sample: scalars `[]` or channels `[channels]`.

        `total` is the sum of its `count` values, or of those of each channel.
        """
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        if total is not None:
            self.total = self.total + total
            self.count += count

    def range(self) -> Range:
        """The range over everything. Raises ValueError before the first update."""
        channels = self.channels()
        mean = None if channels.mean is None else float(channels.mean.mean())
        count = None if channels.count is None else channels.count * len(channels.low)
        return Range(float(channels.low.min()), float(channels.high.max()), mean, count)

    def channels(self) -> ChannelRange:
        """The range per channel. Raises ValueError before the first update."""
        if self._low is None or self._high is None:
            raise ValueError("nothing was observed")
        mean = np.atleast_1d(self.total / self.count) if self.count else None
        low, high = np.atleast_1d(self._low), np.atleast_1d(self._high)
        return ChannelRange(low, high, mean, self.count or None)


class Histogram:
    """Counts of values in equal bins over a range that is known beforehand."""

    def __init__(self, seen: Range, n_bins: int = N_BINS) -> None:
        self.seen = seen
        self.counts: NDArray[np.int64] = np.zeros(n_bins, np.int64)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The bins' borders, one more than bins."""
        return np.linspace(self.seen.low, self.seen.high, len(self.counts) + 1)

    def update(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape; what lies outside the range goes to the outer bins."""
        n_bins, width = len(self.counts), self.seen.high - self.seen.low
        flat = values.reshape(-1)
        if width <= 0:
            self.counts[0] += flat.size
            return
        for start in range(0, flat.size, _CHUNK):
            part = (flat[start : start + _CHUNK] - self.seen.low) * (n_bins / width)
            bins = np.clip(part, 0, n_bins - 1).astype(np.intp)
            self.counts += np.bincount(bins, minlength=n_bins)


def percentile_range(histogram: Histogram, percentile: float = _PERCENTILE) -> Range:
    """Leave out (100 - percentile) / 2 per cent of the values on each side."""
    counts, edges = histogram.counts, histogram.edges
    share = np.concatenate(([0.0], np.cumsum(counts) / max(1, counts.sum())))
    outside = (100 - percentile) / 200
    # The last edge with at most that share below it, and its mirror image: never too narrow by
    # more than a bin.
    low = edges[max(0, int(np.searchsorted(share, outside, side="right")) - 1)]
    high = edges[min(len(edges) - 1, int(np.searchsorted(share, 1 - outside, side="left")))]
    return Range(float(min(low, high)), float(max(low, high)))


def entropy_range(histogram: Histogram, levels: int = _LEVELS) -> Range:
    """The clipping with the least KL divergence between the values and their quantized image.

    After Migacz, "8-bit inference with TensorRT" (2017), with both ends of an asymmetric range
    drawn in by the same factor, from a whole range down to one bin per level.
    """
    counts = histogram.counts.astype(np.float64)
    edges = histogram.edges
    centres = (edges[1:] + edges[:-1]) / 2
    low, high = _with_zero(histogram.seen)
    best, best_divergence = Range(low, high), np.inf
    fewest = min(1.0, levels / len(counts))
    # Sixteen bins apart, two steps of the quantizer: each try costs a pass over all bins.
    for factor in np.linspace(1.0, fewest, 1 + (len(counts) - levels) // 16):
        inside = (centres >= low * factor) & (centres <= high * factor)
        if not counts[inside].any():
            continue
        divergence = _divergence(counts, inside, levels)
        if divergence < best_divergence:
            best_divergence = divergence
            best = Range(low * float(factor), high * float(factor))
    return best


def mse_range(histogram: Histogram, levels: int = _LEVELS) -> Range:
    """The clipping with the least mean squared error of a uniform quantizer.

    Rounding costs step^2 / 12 for every value inside the range except for those at zero, which
    is exact; clipping costs the squared distance to the range. Every pair of ends on a grid is
    tried (Banner et al. 2019, "Post-training 4-bit quantization", for the error model).
    """
    counts = histogram.counts.astype(np.float64)
    edges = histogram.edges
    centres = (edges[1:] + edges[:-1]) / 2
    seen_low, seen_high = _with_zero(histogram.seen)
    # Every pair of ends is tried: one end for eight bins, a step of the quantizer, is fine enough.
    ends = len(counts) // 8 + 1
    lows = np.linspace(seen_low, 0, ends)[:-1] if seen_low < 0 else np.zeros(1)
    highs = np.linspace(0, seen_high, ends)[1:] if seen_high > 0 else np.zeros(1)
    zero = (edges[:-1] <= 0) & (edges[1:] > 0)
    rounded = _cumulated(np.where(zero, 0, counts))
    # The sum of (end - centre)^2 over what is cut, from cumulated moments.
    below, above = np.searchsorted(centres, lows), np.searchsorted(centres, highs, side="right")
    moments = [_cumulated(counts * centres**power) for power in range(3)]
    n, first, second = (m[below] for m in moments)
    cut_low = lows**2 * n - 2 * lows * first + second
    n, first, second = (m[-1] - m[above] for m in moments)
    cut_high = highs**2 * n - 2 * highs * first + second
    n_inside = rounded[above][None, :] - rounded[below][:, None]
    step = (highs[None, :] - lows[:, None]) / (levels - 1)
    error = n_inside * step**2 / 12 + cut_low[:, None] + cut_high[None, :]
    at_low, at_high = np.unravel_index(np.argmin(error), error.shape)
    return Range(float(lows[at_low]), float(highs[at_high]))


CHOOSERS: dict[str, Callable[[Histogram], Range]] = {
    "percentile": percentile_range,
    "entropy": entropy_range,
    "mse": mse_range,
}
OBSERVERS = ("minmax", *CHOOSERS)
"""The names that `collect_ranges` knows."""


def describe(observer: str) -> str:
    """The observer with the settings that decide what it chooses."""
    return {
        "percentile": f"percentile {_PERCENTILE} of {N_BINS} bins",
        "entropy": f"entropy, {_LEVELS} levels of {N_BINS} bins",
        "mse": f"mse, {_LEVELS} levels of {N_BINS} bins",
    }.get(observer, observer)


def _cumulated(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, 2, ... values."""
    return np.concatenate(([0.0], np.cumsum(values)))


def _with_zero(seen: Range) -> tuple[float, float]:
    return min(seen.low, 0.0), max(seen.high, 0.0)


def _divergence(counts: NDArray[np.float64], inside: NDArray[np.bool_], levels: int) -> float:
    """KL divergence of the clipped histogram from its image with `levels` values."""
    kept = counts[inside]
    first, last = np.flatnonzero(inside)[[0, -1]]
    clipped = kept.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last + 1 :].sum()
    level = np.arange(len(kept)) * levels // len(kept)
    filled = kept > 0
    per_level = np.bincount(level, kept, levels) / np.maximum(np.bincount(level, filled, levels), 1)
    image = np.where(filled, per_level[level], 0)
    p = clipped / clipped.sum()
    # The clipped tail may fall on a bin that the image leaves empty: finite, and far too large.
    q = np.maximum(image / image.sum(), 1e-12)
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())
