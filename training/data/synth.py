"""Additive notes: timbres that no recording of the folder covers, without a licence to mind."""

from __future__ import annotations

import numpy as np

from training.config import SAMPLE_RATE_HZ
from training.data.audio import Audio

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10))


def note(rng: np.random.Generator, frequency_hz: float, duration_s: float) -> Audio:
    """One note `[samples]` at peak 1: random spectral slope, attack, decay and vibrato."""
    n = int(duration_s * SAMPLE_RATE_HZ)
    time_s = np.arange(n) / SAMPLE_RATE_HZ
    depth, rate_hz = rng.uniform(0.0, 0.006), rng.uniform(4.0, 7.0)
    vibrato = depth * np.sin(2 * np.pi * rate_hz * time_s) / (2 * np.pi * rate_hz)
    phase = 2 * np.pi * frequency_hz * (time_s + vibrato)
    slope, odd = rng.uniform(0.4, 2.2), rng.random() < 0.2
    # A resonance, as brass and voices have it: without it nearly all energy lies below 1 kHz.
    resonance_hz, octaves = 400.0 * 2.0 ** rng.uniform(0.0, 3.5), rng.uniform(0.4, 1.5)
    resonant = rng.random() < 0.6
    audio = np.zeros(n)
    for partial in range(1, int(min(40, 16000 / frequency_hz)) + 1):
        if odd and partial % 2 == 0:
            continue
        level = partial**-slope * rng.uniform(0.3, 1.0)
        if resonant:
            away = np.log2(partial * frequency_hz / resonance_hz) / octaves
            level = rng.uniform(0.3, 1.0) * np.exp(-0.5 * away**2) + 0.1 * level
        audio += level * np.sin(partial * phase + rng.uniform(0, 2 * np.pi))
    attack_s = rng.choice([0.004, 0.02, 0.08])
    decay_s = rng.choice([0.15, 0.5, 3.0]) * max(duration_s, 0.2)
    audio *= np.minimum(1.0, time_s / attack_s) * np.exp(-time_s / decay_s)
    audio *= np.minimum(1.0, (duration_s - time_s) / min(0.03, duration_s / 4))
    return np.asarray(audio / max(np.abs(audio).max(), 1e-9), np.float32)


def melody(rng: np.random.Generator, samples: int) -> Audio:
    """A free melody over chords `[samples]`, off any grid: what solo players sound like."""
    out = np.zeros(samples, np.float32)
    duration_s = samples / SAMPLE_RATE_HZ
    scale = SCALES[rng.integers(len(SCALES))]
    root_hz = 55.0 * 2.0 ** (rng.integers(0, 49) / 12.0)
    start_s, degree = 0.0, int(rng.integers(0, 14))
    while start_s < duration_s - 0.1:
        length_s = float(rng.choice([0.15, 0.25, 0.4, 0.8, 1.5]) * rng.uniform(0.9, 1.1))
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 20))
        voices = [degree, degree - 2, degree - 4] if rng.random() < 0.3 else [degree]
        for voice in voices:
            octave, step = divmod(max(voice, 0), len(scale))
            sound = note(rng, root_hz * 2.0 ** (octave + scale[step] / 12.0), length_s * 1.2)
            at = int(start_s * SAMPLE_RATE_HZ)
            end = min(len(out), at + len(sound))
            out[at:end] += sound[: end - at] * rng.uniform(0.4, 1.0)
        start_s += length_s
    return out
