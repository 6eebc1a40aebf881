"""The built-in sample pack: music, voice, noise and silence, synthesised on the spot.

Everything runs with no data at all. It is varied rather than beautiful: each kind of sound
occurs twice, with other notes and other noise, once to calibrate on and once to judge on.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from calibration.audio.clips import AudioSet, Clip, make_clip
from calibration.audio.instruments import (
    Wave,
    bell,
    coloured,
    hat,
    kick,
    pad,
    pluck,
    snare,
    sweep,
    vowels,
)
from calibration.audio.loudness import normalise_loudness
from vampnet_models.onnxfile.artifact import beside, cannot_write
from vampnet_models.spec import SAMPLE_RATE_HZ

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
            wave = play(take, rng)[: round(_CLIP_S * SAMPLE_RATE_HZ)].astype(np.float32)
            loud = normalise_loudness(wave, SAMPLE_RATE_HZ)
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
        soundfile.write(sound, steps, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
        with beside(path) as staged:
            staged.write_bytes(sound.getbuffer())
        written.append(path)
    return written


def _plucks(take: int, rng: np.random.Generator) -> Wave:
    track = _track()
    for step in range(16):
        note = 45 + 5 * take + 12 * int(rng.integers(0, 3)) + _PENTATONIC[rng.integers(0, 5)]
        _add(track, step * 0.25, pluck(note, 1.6, rng, 0.996 - 0.002 * take))
    return track


def _drums(take: int, rng: np.random.Generator) -> Wave:
    track = _track()
    beat_s = (0.5, 0.4)[take]
    for step in range(int(_CLIP_S / (beat_s / 2))):
        at_s = step * beat_s / 2
        if step % 4 == 0 or rng.random() < 0.15:
            _add(track, at_s, kick(0.4, 48 + 9 * take))
        if step % 4 == 2:
            _add(track, at_s, 0.7 * snare(0.3, rng))
        decay_s = 0.15 if rng.random() < 0.2 else 0.025
        _add(track, at_s, hat(0.3, rng, decay_s))
    return track


def _bells(take: int, rng: np.random.Generator) -> Wave:
    track = _track()
    for step in range(6):
        note = 62 + 4 * take + _PENTATONIC[rng.integers(0, 5)] + 12 * int(rng.integers(0, 2))
        _add(track, step * 0.65, bell(note, 2.5))
    return track


def _pads(take: int, rng: np.random.Generator) -> Wave:
    track = _track()
    for step, chord in enumerate(rng.permutation(len(_CHORDS))):
        root = 50 + 3 * take
        notes = tuple(root + offset for offset in _CHORDS[chord])
        _add(track, step * 0.95, pad(notes, 1.3))
    return track


def _voice(take: int, rng: np.random.Generator) -> Wave:
    text = ("aeiouaoe", "iaoeuieaou")[take]
    return vowels(text, (46, 57)[take], _CLIP_S / len(text), rng)


def _bursts(take: int, rng: np.random.Generator) -> Wave:
    """Noise of changing colour and sweeps, with digital silence between them."""
    track = _track()
    for step in range(5):
        length_s = 0.08 + 0.4 * rng.random()
        sound = coloured(length_s, 1.5 * rng.random(), rng)
        fade = np.minimum(1, np.arange(len(sound))[::-1] / 400)
        _add(track, 0.2 + step * 0.75 + 0.1 * take, sound * fade * (0.1 + rng.random()))
    return track


def _sweeps(take: int, rng: np.random.Generator) -> Wave:
    """A long sweep, chirps over it, then silence and near-silence."""
    low_hz, high_hz = ((40.0, 16_000.0), (9_000.0, 70.0))[take]
    track = _track()
    _add(track, 0.0, sweep(2.2, low_hz, high_hz))
    for step in range(4):
        first_hz = 300 + 3000 * rng.random()
        _add(track, 0.3 + step * 0.5, 0.5 * sweep(0.12, first_hz, first_hz * 3))
    _add(track, 3.0, 0.0004 * coloured(0.9, 1.0, rng))
    return track


def _ensemble(take: int, rng: np.random.Generator) -> Wave:
    """All of them at once, as a piece of music would."""
    return (
        _drums(take, rng)
        + 0.5 * _plucks(1 - take, rng)
        + 0.6 * _pads(1 - take, rng)
        + 0.25 * _voice(take, rng)
        + 0.02 * coloured(_CLIP_S, 0.5, rng)
    )


_KINDS: tuple[tuple[str, Callable[[int, np.random.Generator], Wave]], ...] = (
    ("plucked-strings", _plucks),
    ("drums", _drums),
    ("bells", _bells),
    ("pads", _pads),
    ("voice", _voice),
    ("noise-bursts", _bursts),
    ("sweeps", _sweeps),
    ("ensemble", _ensemble),
)


def _track() -> Wave:
    return np.zeros(round(_CLIP_S * SAMPLE_RATE_HZ))


def _add(track: Wave, at_s: float, sound: Wave) -> None:
    start = round(at_s * SAMPLE_RATE_HZ)
    end = min(len(track), start + len(sound))
    track[start:end] += sound[: end - start]
