"""Endless music from loops and one-shots, seeded.

A section is one pattern, rendered into a circular buffer and repeated with variations. Its step
(a sixteenth) is a whole number of token frames, so that what repeats in the music repeats in the
tokens: music of this size can only be learned where it is regular.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import soxr

from training.config import HOP_SAMPLES, SAMPLE_RATE_HZ
from training.data.audio import Audio, normalise
from training.data.synth import SCALES, melody, note

_STEP_FRAMES = (5, 6, 7, 8, 9, 10)
_PATTERN_STEPS = (4, 8, 8, 8, 16)
_DRUMS = ("bd_", "sn_", "hat_", "drum_", "tabla_", "perc_", "elec_", "ride_", "glitch_perc")
_BASSES = ("bass_", "glitch_bass")
_TONES = ("guit_", "ambi_", "elec_chime", "elec_bell", "perc_bell", "mehackit_", "glitch_robot")
_LOOPS = ("loop_", "arovane_")


def _matching(sounds: Mapping[str, Audio], prefixes: tuple[str, ...]) -> list[str]:
    return [name for name in sounds if name.startswith(prefixes)]


def _pitched(sound: Audio, semitones: float) -> Audio:
    """The sound played faster or slower, as a sampler does."""
    ratio = 2.0 ** (semitones / 12.0)
    if abs(semitones) < 1e-3:
        return sound
    moved: Audio = soxr.resample(sound, SAMPLE_RATE_HZ * ratio, SAMPLE_RATE_HZ, quality="MQ")
    return moved


def _add_circular(buffer: Audio, sound: Audio, at: int, gain: float) -> None:
    """Mix a sound in; what runs over the end comes in at the start."""
    sound = sound[: len(buffer)] * np.float32(gain)
    if len(sound) == len(buffer):
        sound[-256:] *= np.linspace(1.0, 0.0, 256, dtype=np.float32)
    index = (at + np.arange(len(sound))) % len(buffer)
    buffer[index] += sound


class _Arranger:
    """Draws the layers of sections from one side of the split."""

    def __init__(self, sounds: Mapping[str, Audio], rng: np.random.Generator) -> None:
        self._sounds, self._rng = sounds, rng
        self._drums = _matching(sounds, _DRUMS)
        self._basses = _matching(sounds, _BASSES)
        self._tones = _matching(sounds, _TONES)
        self._loops = _matching(sounds, _LOOPS)

    def _drum_layer(self, buffer: Audio, steps: int, step: int) -> None:
        rng = self._rng
        sound = _pitched(self._sounds[rng.choice(self._drums)], float(rng.integers(-5, 6)))
        every, offset = int(rng.choice([1, 2, 2, 4, 4])), int(rng.integers(0, 4))
        gain = rng.uniform(0.3, 1.0)
        for index in range(offset, steps + offset, every):
            if rng.random() < 0.9:
                accent = 1.0 if (index - offset) % 4 == 0 else 0.6
                _add_circular(buffer, sound, (index % steps) * step, gain * accent)

    def _note_layer(self, buffer: Audio, steps: int, step: int, names: list[str]) -> None:
        rng = self._rng
        synthetic = not names or rng.random() < 0.35
        sound = None if synthetic else self._sounds[rng.choice(names)]
        scale = SCALES[rng.integers(len(SCALES))]
        low_hz = float(rng.choice([55.0, 110.0, 220.0])) * 2.0 ** (rng.integers(0, 12) / 12.0)
        every, gain = int(rng.choice([2, 4, 4, 8])), rng.uniform(0.25, 0.8)
        length_s = every * step / SAMPLE_RATE_HZ
        timbre_seed = int(rng.integers(1 << 30))
        for index in range(0, steps, every):
            semitones = float(scale[rng.integers(len(scale))])
            if sound is None:
                timbre = np.random.default_rng(timbre_seed)
                played = note(timbre, low_hz * 2.0 ** (semitones / 12.0), length_s)
            else:
                played = _pitched(sound, semitones - 5.0)[: int(1.5 * every * step)].copy()
                fade = min(len(played), 512)
                played[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
            _add_circular(buffer, played, index * step, gain)

    def _loop_layer(self, buffer: Audio, steps: int, step: int) -> None:
        rng = self._rng
        loop = _pitched(self._sounds[rng.choice(self._loops)], float(rng.integers(-4, 5)))
        length = int(rng.choice([4, 8, steps])) * step
        start = int(rng.integers(0, max(1, len(loop) - length)))
        cut = loop[start : start + length].copy()
        cut[:64] *= np.linspace(0.0, 1.0, 64, dtype=np.float32)
        cut[-64:] *= np.linspace(1.0, 0.0, 64, dtype=np.float32)
        gain = rng.uniform(0.4, 1.0)
        for at in range(0, len(buffer), length):
            _add_circular(buffer, cut, at, gain)

    def pattern(self, steps: int, step: int) -> list[Audio]:
        """The layers of one section, each a circular buffer `[steps * step]`."""
        rng = self._rng
        layers: list[Audio] = []
        plan = ["drum"] * int(rng.integers(0, 4)) + ["bass"] * int(rng.random() < 0.6)
        plan += ["tone"] * int(rng.integers(0, 2)) + ["loop"] * int(rng.random() < 0.6)
        for kind in plan or ["loop", "tone"]:
            layer = np.zeros(steps * step, np.float32)
            if kind == "drum":
                self._drum_layer(layer, steps, step)
            elif kind == "bass":
                self._note_layer(layer, steps, step, self._basses)
            elif kind == "tone":
                self._note_layer(layer, steps, step, self._tones)
            else:
                self._loop_layer(layer, steps, step)
            layers.append(layer)
        return layers

    def section(self) -> Audio:
        """One pattern repeated 4 to 8 times; later repeats may lose or change a layer."""
        rng = self._rng
        step = int(rng.choice(_STEP_FRAMES)) * HOP_SAMPLES
        steps = int(rng.choice(_PATTERN_STEPS))
        layers = self.pattern(steps, step)
        repeats: list[Audio] = []
        for _ in range(int(rng.integers(4, 9)) * (2 if steps == 4 else 1)):
            if len(layers) > 1 and rng.random() < 0.15:
                layers = [*layers[1:], layers[0] * np.float32(rng.choice([0.0, 0.5, 1.0]))]
            repeats.append(np.sum(layers, axis=0))
        out = np.concatenate(repeats)
        if rng.random() < 0.15:
            out += 0.3 * melody(rng, len(out))
        return out


def arrangement(sounds: Mapping[str, Audio], seed: int, duration_s: float) -> Audio:
    """Music `[duration_s * 44100]` at -24 LUFS; sections are levelled, then follow each other."""
    rng = np.random.default_rng(seed)
    arranger = _Arranger(sounds, rng)
    total = int(duration_s * SAMPLE_RATE_HZ) // HOP_SAMPLES * HOP_SAMPLES
    parts: list[Audio] = []
    while sum(map(len, parts)) < total:
        section = arranger.section()
        if np.abs(section).max() > 1e-3:
            parts.append(normalise(section))
    return np.concatenate(parts)[:total]
