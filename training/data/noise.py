"""Noise-like sound: coloured noise that swells, and showers of clicks."""

from __future__ import annotations

import numpy as np

from training.config import SAMPLE_RATE_HZ
from training.data.audio import Audio, normalise


def _coloured(n: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with a random slope and a random band, as wind, surf, breath and hiss have."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency_hz = np.fft.rfftfreq(n, 1.0 / SAMPLE_RATE_HZ)
    slope = rng.uniform(0.0, 1.0)
    centre_hz, octaves = 200.0 * 2.0 ** rng.uniform(0.0, 6.0), rng.uniform(0.5, 4.0)
    away = np.log2(np.maximum(frequency_hz, 20.0) / centre_hz) / octaves
    shape = np.maximum(frequency_hz, 20.0) ** -slope * np.exp(-0.5 * away**2)
    return np.fft.irfft(spectrum * shape, n)


def _swelling(n: int, rng: np.random.Generator) -> np.ndarray:
    """A slow random envelope between 0.05 and 1."""
    knots = max(2, int(n / SAMPLE_RATE_HZ * rng.uniform(0.3, 4.0)))
    return np.interp(np.linspace(0, knots - 1, n), np.arange(knots), rng.uniform(0.05, 1.0, knots))


def noise(seed: int, duration_s: float) -> Audio:
    """Sections of noise, float32 `[duration_s * 44100]` at -24 LUFS."""
    rng = np.random.default_rng(seed)
    wanted = round(duration_s * SAMPLE_RATE_HZ)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < wanted:
        n = int(SAMPLE_RATE_HZ * rng.uniform(2.0, 6.0))
        section = _coloured(n, rng) * _swelling(n, rng)
        if rng.random() < 0.35:
            clicks = (
                rng.random(n) < rng.uniform(2.0, 60.0) / SAMPLE_RATE_HZ
            ) * rng.standard_normal(n)
            decay = np.exp(-np.arange(2048) / (SAMPLE_RATE_HZ * rng.uniform(0.0005, 0.01)))
            section += 8.0 * section.std() * np.convolve(clicks, decay)[:n]
        parts.append(section / max(section.std(), 1e-9))
    return normalise(np.concatenate(parts)[:wanted].astype(np.float32))
