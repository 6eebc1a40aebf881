"""Histograms of every channel of a tensor, each over its own range."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration.ranges.observers import CHOOSERS, ChannelRange, Histogram, Range, percentile_range

CHANNEL_BINS = 512
"""A channel has fewer values than a tensor, and there are thousands of channels."""

CHANNEL_PERCENTILE = 99.9
"""A channel has some ten thousand values: a tensor's percentile would leave none of them out."""

_CHUNK = 1 << 20
"""Values counted at a time, which bounds the temporary arrays."""


class ChannelHistograms:
    """Counts `[channels, bins]` of values in equal bins between each channel's extremes."""

    def __init__(self, seen: ChannelRange, n_bins: int = CHANNEL_BINS) -> None:
        self.seen = seen
        self.counts: NDArray[np.int64] = np.zeros((len(seen.low), n_bins), np.int64)

    def update(self, values: NDArray[np.float32], axis: int) -> None:
        """Count values of any shape; `axis` is that of the channels."""
        n_channels, n_bins = self.counts.shape
        rows = np.moveaxis(values, axis, 0).reshape(n_channels, -1)
        width = self.seen.high - self.seen.low
        scale = np.where(width > 0, n_bins / np.where(width > 0, width, 1), 0).astype(np.float32)
        first = np.arange(n_channels, dtype=np.intp)[:, None] * n_bins
        step = max(1, _CHUNK // n_channels)
        for start in range(0, rows.shape[1], step):
            part = (rows[:, start : start + step] - self.seen.low[:, None]) * scale[:, None]
            bins = np.clip(part, 0, n_bins - 1).astype(np.intp) + first
            counted = np.bincount(bins.reshape(-1), minlength=self.counts.size)
            self.counts += counted.reshape(self.counts.shape)

    def ranges(self, observer: str) -> ChannelRange:
        """What the observer of that name chooses for each channel."""
        choose = CHOOSERS[observer]
        if observer == "percentile":
            choose = partial(percentile_range, percentile=CHANNEL_PERCENTILE)
        low, high = self.seen.low.copy(), self.seen.high.copy()
        for channel in np.flatnonzero(low < high):
            seen = Range(float(low[channel]), float(high[channel]))
            histogram = Histogram(seen, self.counts.shape[1])
            histogram.counts = self.counts[channel]
            chosen = choose(histogram)
            low[channel], high[channel] = chosen.low, chosen.high
        return ChannelRange(low, high)
