"""The built-in sample pack: music, reporter, noise and silence, synthesised on the spot.

Everything runs with no data at all. It is varied rather than beautiful: each kind of sound
occurs twice, with other notes and other noise, once to calibrate on and once to judge on.

Every function returns mono samples [n] at 44.1 kHz. Only uniform random numbers are drawn: the
stream of a numpy generator that is least likely to change between versions.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from calibration.audio.clips import MASTER_RATE_HZ, AudioSet, Clip, make_clip
from calibration.audio.loudness import normalise_loudness
from vampnet_models.onnxfile.artifact import beside, cannot_write

_Wave = NDArray[np.float64]

# Formant centres in Hz with relative gains: Peterson and Barney (1952), averages of male voices.
_VOWELS = {
    "a": ((730, 1.0), (1090, 0.5), (2440, 0.12)),
    "e": ((530, 1.0), (1840, 0.25), (2480, 0.15)),
    "i": ((270, 1.0), (2290, 0.18), (3010, 0.12)),
    "o": ((570, 1.0), (840, 0.6), (2410, 0.06)),
    "u": ((300, 1.0), (870, 0.3), (2240, 0.04)),
}


def _seconds(duration_s: float) -> _Wave:
    """Time stamps 0, 1/44100, ... of that many seconds."""
    return np.arange(round(duration_s * MASTER_RATE_HZ)) / MASTER_RATE_HZ


def pitch_hz(note: float) -> float:
    """MIDI note number to frequency."""
    return float(440.0 * 2 ** ((note - 69) / 12))


def _noise(n: int, rng: np.random.Generator) -> _Wave:
    """White noise, uniform in [-1, 1]."""
    return rng.random(n) * 2 - 1


def pluck(note: float, duration_s: float, rng: np.random.Generator, damping: float) -> _Wave:
    """A plucked string (Karplus and Strong 1983): a noise burst in an averaging delay line.

    One whole period is computed at a time, since every sample needs only the period before.
    """
    period = round(MASTER_RATE_HZ / pitch_hz(note))
    n = round(duration_s * MASTER_RATE_HZ)
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


def _kick(duration_s: float, low_hz: float) -> _Wave:
    """A bass drum: a sine that falls in pitch and level."""
    t = _seconds(duration_s)
    phase = 2 * np.pi * (low_hz * t + 110 * 0.03 * (1 - np.exp(-t / 0.03)))
    return np.sin(phase) * np.exp(-t / 0.12) + 0.3 * np.exp(-t / 0.002) * np.sin(31 * phase)


def _snare(duration_s: float, rng: np.random.Generator) -> _Wave:
    """A snare drum: two drum modes under a burst of noise."""
    t = _seconds(duration_s)
    body = np.sin(2 * np.pi * 185 * t) + 0.6 * np.sin(2 * np.pi * 330 * t)
    return 0.5 * body * np.exp(-t / 0.06) + 0.8 * _noise(len(t), rng) * np.exp(-t / 0.09)


def _hat(duration_s: float, rng: np.random.Generator, decay_s: float) -> _Wave:
    """A cymbal: noise differentiated three times, which leaves only its top."""
    t = _seconds(duration_s)
    high = np.diff(_noise(len(t) + 3, rng), 3)
    return 0.15 * high * np.exp(-t / decay_s)


def _bell(note: float, duration_s: float) -> _Wave:
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


def _pad(notes: tuple[int, ...], duration_s: float) -> _Wave:
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


def _vowels(text: str, note: float, syllable_s: float, rng: np.random.Generator) -> _Wave:
    """A reporter that glides through the vowels of `text`: harmonics weighted by formants."""
    t = _seconds(syllable_s * len(text))
    position = np.minimum(t / syllable_s, len(text) - 1)
    knots = np.arange(len(text))
    drift = np.interp(t, np.linspace(0, t[-1], 9), 0.6 * _noise(9, rng))
    hz = pitch_hz(note) * 2 ** ((drift + 0.25 * np.sin(2 * np.pi * 5.3 * t)) / 12)
    phase = 2 * np.pi * np.cumsum(hz) / MASTER_RATE_HZ
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


def _sweep(duration_s: float, first_hz: float, last_hz: float) -> _Wave:
    """An exponential sine sweep."""
    t = _seconds(duration_s)
    rate = np.log(last_hz / first_hz) / duration_s
    wave: _Wave = 0.5 * np.sin(2 * np.pi * first_hz * (np.exp(rate * t) - 1) / rate)
    return wave


def _coloured(duration_s: float, tilt: float, rng: np.random.Generator) -> _Wave:
    """Noise whose spectrum falls with frequency to the power of `tilt` (1: pink in level)."""
    n = round(duration_s * MASTER_RATE_HZ)
    spectrum = np.fft.rfft(_noise(n, rng))
    hz = np.fft.rfftfreq(n, 1 / MASTER_RATE_HZ)
    spectrum *= 1 / np.maximum(hz / 200, 0.2) ** tilt
    out: _Wave = np.fft.irfft(spectrum, n)
    out /= np.max(np.abs(out))
    return out


_CLIP_S = 4.0
"""Length of each clip of the pack."""

_PENTATONIC = (0, 3, 5, 7, 10)
_CHORDS = ((0, 3, 7, 10), (5, 8, 12, 15), (-2, 2, 5, 10), (3, 7, 10, 14))


def sample_pack(seed: int = 0) -> tuple[Clip, ...]:
    """Sixteen clips of 4 s: two of each kind, `KIND-1` and `KIND-2`, always in this order.

    Samples are rounded to 16 bits, so that a WAV file holds them exactly and the last bits of
    a machine's sine do not change their hashes.
    """
    clips = []
    for number, (kind, play) in enumerate(_KINDS):
        for take in (0, 1):
            rng = np.random.default_rng([seed, number, take])
            wave = play(take, rng)[: round(_CLIP_S * MASTER_RATE_HZ)].astype(np.float32)
            loud = normalise_loudness(wave, MASTER_RATE_HZ)
            steps = np.clip(np.round(loud * 32768), -32768, 32767)
            samples = (steps / 32768).astype(np.float32)
            clips.append(make_clip(f"{kind}-{take + 1}", samples, "builtin"))
    return tuple(clips)


def builtin_audio_set() -> AudioSet:
    """The pack as an audio set: 32 s to calibrate on, 32 s of the same kinds to judge on."""
    pack = sample_pack()
    return AudioSet(name="builtin", calibration=pack[0::2], evaluation=pack[1::2])


def write_samples(folder: Path, seed: int = 0) -> list[Path]:
    """Write the pack as 16-bit WAV files. Raises InputError when the folder cannot be written."""
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for number, clip in enumerate(sample_pack(seed), 1):
        path = folder / f"{number:02d}-{clip.name}.wav"
        steps = (clip.samples * 32768).astype(np.int16)
        # Made in memory: the library calls a full disk a "System error".
        sound = io.BytesIO()
        soundfile.write(sound, steps, MASTER_RATE_HZ, subtype="PCM_16", format="WAV")
        with beside(path) as staged:
            staged.write_bytes(sound.getbuffer())
        written.append(path)
    return written


def _plucks(take: int, rng: np.random.Generator) -> _Wave:
    track = _track()
    for step in range(16):
        note = 45 + 5 * take + 12 * int(rng.integers(0, 3)) + _PENTATONIC[rng.integers(0, 5)]
        _add(track, step * 0.25, pluck(note, 1.6, rng, 0.996 - 0.002 * take))
    return track


def _drums(take: int, rng: np.random.Generator) -> _Wave:
    track = _track()
    beat_s = (0.5, 0.4)[take]
    for step in range(int(_CLIP_S / (beat_s / 2))):
        at_s = step * beat_s / 2
        if step % 4 == 0 or rng.random() < 0.15:
            _add(track, at_s, _kick(0.4, 48 + 9 * take))
        if step % 4 == 2:
            _add(track, at_s, 0.7 * _snare(0.3, rng))
        decay_s = 0.15 if rng.random() < 0.2 else 0.025
        _add(track, at_s, _hat(0.3, rng, decay_s))
    return track


def _bells(take: int, rng: np.random.Generator) -> _Wave:
    track = _track()
    for step in range(6):
        note = 62 + 4 * take + _PENTATONIC[rng.integers(0, 5)] + 12 * int(rng.integers(0, 2))
        _add(track, step * 0.65, _bell(note, 2.5))
    return track


def _pads(take: int, rng: np.random.Generator) -> _Wave:
    track = _track()
    for step, chord in enumerate(rng.permutation(len(_CHORDS))):
        root = 50 + 3 * take
        notes = tuple(root + offset for offset in _CHORDS[chord])
        _add(track, step * 0.95, _pad(notes, 1.3))
    return track


def _reporter(take: int, rng: np.random.Generator) -> _Wave:
    text = ("aeiouaoe", "iaoeuieaou")[take]
    return _vowels(text, (46, 57)[take], _CLIP_S / len(text), rng)


def _bursts(take: int, rng: np.random.Generator) -> _Wave:
    """Noise of changing colour and sweeps, with digital silence between them."""
    track = _track()
    for step in range(5):
        length_s = 0.08 + 0.4 * rng.random()
        sound = _coloured(length_s, 1.5 * rng.random(), rng)
        fade = np.minimum(1, np.arange(len(sound))[::-1] / 400)
        _add(track, 0.2 + step * 0.75 + 0.1 * take, sound * fade * (0.1 + rng.random()))
    return track


def _sweeps(take: int, rng: np.random.Generator) -> _Wave:
    """A long sweep, chirps over it, then silence and near-silence."""
    low_hz, high_hz = ((40.0, 16_000.0), (9_000.0, 70.0))[take]
    track = _track()
    _add(track, 0.0, _sweep(2.2, low_hz, high_hz))
    for step in range(4):
        first_hz = 300 + 3000 * rng.random()
        _add(track, 0.3 + step * 0.5, 0.5 * _sweep(0.12, first_hz, first_hz * 3))
    _add(track, 3.0, 0.0004 * _coloured(0.9, 1.0, rng))
    return track


def _ensemble(take: int, rng: np.random.Generator) -> _Wave:
    """All of them at once, as a piece of music would."""
    return (
        _drums(take, rng)
        + 0.5 * _plucks(1 - take, rng)
        + 0.6 * _pads(1 - take, rng)
        + 0.25 * _reporter(take, rng)
        + 0.02 * _coloured(_CLIP_S, 0.5, rng)
    )


_KINDS: tuple[tuple[str, Callable[[int, np.random.Generator], _Wave]], ...] = (
    ("plucked-strings", _plucks),
    ("drums", _drums),
    ("bells", _bells),
    ("pads", _pads),
    ("reporter", _reporter),
    ("noise-bursts", _bursts),
    ("sweeps", _sweeps),
    ("ensemble", _ensemble),
)


def _track() -> _Wave:
    return np.zeros(round(_CLIP_S * MASTER_RATE_HZ))


def _add(track: _Wave, at_s: float, sound: _Wave) -> None:
    start = round(at_s * MASTER_RATE_HZ)
    end = min(len(track), start + len(sound))
    track[start:end] += sound[: end - start]
