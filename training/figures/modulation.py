"""What an ear notices and SI-SDR does not: a buzz at the frame rate, and crushed dynamics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.config import HOP_SAMPLES, SAMPLE_RATE_HZ

_BLOCK_SAMPLES = 64
_FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
_HARMONICS = 4
# Wide enough to hold a line of a few seconds' analysis, narrow beside the frame rate.
_LINE_HZ, _AROUND_HZ = 1.0, 12.0
_LEVEL_BLOCK_SAMPLES = 4410
_SILENCE_DB = -60.0


def _envelope(audio: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """The rms of every `block` samples."""
    blocks = audio[: len(audio) // block * block].reshape(-1, block).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(blocks**2, axis=1)), np.float64)


def frame_buzz_db(audio: NDArray[np.float32]) -> float:
    """How far the modulation spectrum stands out at the token frame rate and its harmonics.

    Audio `[samples]` at 44.1 kHz, a few seconds or more. 0 dB: lines at multiples of 57.4 Hz are
    no stronger than the 12 Hz around them; the mean over four harmonics, in dB.
    """
    envelope = _envelope(audio, _BLOCK_SAMPLES)
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)))) ** 2
    rate_hz = np.fft.rfftfreq(len(envelope), _BLOCK_SAMPLES / SAMPLE_RATE_HZ)
    excess = []
    for harmonic in range(1, _HARMONICS + 1):
        away = np.abs(rate_hz - harmonic * _FRAME_RATE_HZ)
        line = spectrum[away <= _LINE_HZ].mean()
        around = spectrum[(away > _LINE_HZ) & (away <= _AROUND_HZ)].mean()
        excess.append(10.0 * np.log10((line + 1e-20) / (around + 1e-20)))
    return float(np.mean(excess))


def level_slope(estimate: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """By how many dB the estimate's level moves when the target's moves by one.

    Both `[samples]`; levels of 0.1 s, silence below -60 dB left out. 1: dynamics are kept; less:
    they are crushed. Raises ValueError where nothing but silence is heard, or one level.
    """
    levels = [
        20.0 * np.log10(_envelope(audio, _LEVEL_BLOCK_SAMPLES) + 1e-9)
        for audio in (target, estimate)
    ]
    heard = levels[0] > _SILENCE_DB
    there, given = (level[heard] for level in levels)
    if len(there) < 2 or float(np.ptp(there)) < 1e-3:
        raise ValueError("level_slope: no dynamics in the target; give louder or longer sound")
    return float(np.polyfit(there, given, 1)[0])
