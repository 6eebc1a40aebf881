"""Small synthesisers for the built-in sample pack: float64 in, float64 out, seeded.

Every function returns mono samples [n] at 44.1 kHz. Only uniform random numbers are drawn: the
stream of a numpy generator that is least likely to change between versions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vampnet_models.spec import SAMPLE_RATE_HZ

Wave = NDArray[np.float64]

# Formant centres in Hz with relative gains: Peterson and Barney (1952), averages of male voices.
_VOWELS = {
    "a": ((730, 1.0), (1090, 0.5), (2440, 0.12)),
    "e": ((530, 1.0), (1840, 0.25), (2480, 0.15)),
    "i": ((270, 1.0), (2290, 0.18), (3010, 0.12)),
    "o": ((570, 1.0), (840, 0.6), (2410, 0.06)),
    "u": ((300, 1.0), (870, 0.3), (2240, 0.04)),
}


def _seconds(duration_s: float) -> Wave:
    """Time stamps 0, 1/44100, ... of that many seconds."""
    return np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def pitch_hz(note: float) -> float:
    """MIDI note number to frequency."""
    return float(440.0 * 2 ** ((note - 69) / 12))


def _noise(n: int, rng: np.random.Generator) -> Wave:
    """White noise, uniform in [-1, 1]."""
    return rng.random(n) * 2 - 1


def pluck(note: float, duration_s: float, rng: np.random.Generator, damping: float) -> Wave:
    """A plucked string (Karplus and Strong 1983): a noise burst in an averaging delay line.

    One whole period is computed at a time, since every sample needs only the period before.
    """
    period = round(SAMPLE_RATE_HZ / pitch_hz(note))
    n = round(duration_s * SAMPLE_RATE_HZ)
    n_periods = -(-n // period)
    string = np.empty((n_periods, period))
    current = _noise(period, rng)
    current -= current.mean()
    before = current[-1]
    for row in range(n_periods):
        string[row] = current
        shifted = np.concatenate(([before], current[:-1]))
        before = current[-1]
        current = damping * 0.5 * (current + shifted)
    return string.reshape(-1)[:n]


def kick(duration_s: float, low_hz: float) -> Wave:
    """A bass drum: a sine that falls in pitch and level."""
    t = _seconds(duration_s)
    phase = 2 * np.pi * (low_hz * t + 110 * 0.03 * (1 - np.exp(-t / 0.03)))
    return np.sin(phase) * np.exp(-t / 0.12) + 0.3 * np.exp(-t / 0.002) * np.sin(31 * phase)


def snare(duration_s: float, rng: np.random.Generator) -> Wave:
    """A snare drum: two drum modes under a burst of noise."""
    t = _seconds(duration_s)
    body = np.sin(2 * np.pi * 185 * t) + 0.6 * np.sin(2 * np.pi * 330 * t)
    return 0.5 * body * np.exp(-t / 0.06) + 0.8 * _noise(len(t), rng) * np.exp(-t / 0.09)


def hat(duration_s: float, rng: np.random.Generator, decay_s: float) -> Wave:
    """A cymbal: noise differentiated three times, which leaves only its top."""
    t = _seconds(duration_s)
    high = np.diff(_noise(len(t) + 3, rng), 3)
    return 0.15 * high * np.exp(-t / decay_s)


def bell(note: float, duration_s: float) -> Wave:
    """A bell: the inharmonic partials of Risset's bell (1969), the high ones dying first."""
    t = _seconds(duration_s)
    ratios = (0.56, 0.92, 1.19, 1.71, 2.0, 2.74, 3.0, 3.76, 4.07)
    levels = (1.0, 0.67, 1.35, 1.8, 1.67, 1.46, 1.33, 1.33, 1.0)
    lengths = (1.0, 0.9, 0.65, 0.55, 0.325, 0.35, 0.25, 0.2, 0.15)
    out = np.zeros(len(t))
    for ratio, level, length in zip(ratios, levels, lengths, strict=True):
        partial = np.sin(2 * np.pi * pitch_hz(note) * ratio * t)
        out += level * partial * np.exp(-4 * t / (length * duration_s))
    return 0.1 * out


def pad(notes: tuple[int, ...], duration_s: float) -> Wave:
    """A string pad: detuned sawtooth partials of a chord that swells and dims."""
    t = _seconds(duration_s)
    out = np.zeros(len(t))
    for note in notes:
        for cents in (-7.0, 6.0):
            hz = pitch_hz(note + cents / 100)
            for k in range(1, 7):
                out += np.sin(2 * np.pi * hz * k * t + 1.7 * k * note) / k**1.3
    swell = np.sin(np.pi * np.minimum(t / duration_s, 1.0)) ** 0.5
    return 0.06 * out * swell


def vowels(text: str, note: float, syllable_s: float, rng: np.random.Generator) -> Wave:
    """A voice that glides through the vowels of `text`: harmonics weighted by formants."""
    t = _seconds(syllable_s * len(text))
    position = np.minimum(t / syllable_s, len(text) - 1)
    knots = np.arange(len(text))
    drift = np.interp(t, np.linspace(0, t[-1], 9), 0.6 * _noise(9, rng))
    hz = pitch_hz(note) * 2 ** ((drift + 0.25 * np.sin(2 * np.pi * 5.3 * t)) / 12)
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ
    centres = [np.interp(position, knots, [_VOWELS[v][f][0] for v in text]) for f in range(3)]
    gains = [np.interp(position, knots, [_VOWELS[v][f][1] for v in text]) for f in range(3)]
    out = np.zeros(len(t))
    for k in range(1, 1 + int(4000 / pitch_hz(note))):
        at = k * hz
        weight = np.zeros(len(t))
        for centre, gain in zip(centres, gains, strict=True):
            weight += gain / (1 + ((at - centre) / 90) ** 2)
        out += weight / k**0.5 * np.sin(k * phase)
    syllables = 0.15 + 0.85 * np.abs(np.sin(np.pi * t / syllable_s)) ** 0.7
    breath = 0.01 * _noise(len(t), rng)
    return (0.3 * out + breath) * syllables


def sweep(duration_s: float, first_hz: float, last_hz: float) -> Wave:
    """An exponential sine sweep."""
    t = _seconds(duration_s)
    rate = np.log(last_hz / first_hz) / duration_s
    wave: Wave = 0.5 * np.sin(2 * np.pi * first_hz * (np.exp(rate * t) - 1) / rate)
    return wave


def coloured(duration_s: float, tilt: float, rng: np.random.Generator) -> Wave:
    """Noise whose spectrum falls with frequency to the power of `tilt` (1: pink in level)."""
    n = round(duration_s * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(_noise(n, rng))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    spectrum *= 1 / np.maximum(hz / 200, 0.2) ** tilt
    out: Wave = np.fft.irfft(spectrum, n)
    out /= np.max(np.abs(out))
    return out
