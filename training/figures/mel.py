"""Mel filters, for the loss and for the figures; no torch, so that a figure needs none."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.config import SAMPLE_RATE_HZ


@lru_cache(maxsize=8)
def mel_filters(n_fft: int, bands: int) -> NDArray[np.float64]:
    """Triangular mel filters `[bands, n_fft/2 + 1]` of area one (HTK mel scale, 0 to 22.05 kHz)."""
    freqs = np.linspace(0, SAMPLE_RATE_HZ / 2, n_fft // 2 + 1)
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE_HZ / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, bands + 2) / 2595.0) - 1.0)
    # At the low end bands are narrower than a bin: widen them, or they would be empty.
    width = np.maximum(np.diff(edges), SAMPLE_RATE_HZ / n_fft)
    rise = 1.0 - (edges[1:-1, None] - freqs) / width[:-1, None]
    fall = 1.0 - (freqs - edges[1:-1, None]) / width[1:, None]
    filters = np.clip(np.minimum(rise, fall), 0.0, None)
    return np.asarray(filters / filters.sum(1, keepdims=True), np.float64)
