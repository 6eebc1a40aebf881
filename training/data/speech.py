"""Speech-like sound: eSpeak NG reads words drawn by seed; needs the command `espeak-ng`.

No recording of a voice is trained on, so that recorded speech can judge.
"""

from __future__ import annotations

import io
import subprocess

import numpy as np
import soundfile
import soxr

from training.config import SAMPLE_RATE_HZ
from training.data.audio import Audio, normalise

_LANGUAGES = ("en-us", "en-gb", "de", "fr", "es", "it", "sv", "pl", "pt", "nl")
_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "croak")
_ONSETS = ("b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ou", "ee", "a", "o")
_CODAS = ("", "", "n", "r", "s", "t", "l", "m", "nd", "rk")


def _words(rng: np.random.Generator, count: int) -> str:
    """Nonsense words, so that no text has an author."""
    words = []
    for _ in range(count):
        syllables = range(int(rng.integers(1, 4)))
        words.append("".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in syllables))
        words[-1] += str(rng.choice(_CODAS)) + ("," if rng.random() < 0.1 else "")
    return " ".join(words)


def speech(seed: int, duration_s: float) -> Audio:
    """Voices one after another, float32 `[duration_s * 44100]` at -24 LUFS.

    Raises `subprocess.CalledProcessError` where eSpeak NG fails.
    """
    rng = np.random.default_rng(seed)
    wanted = round(duration_s * SAMPLE_RATE_HZ)
    parts: list[Audio] = []
    while sum(map(len, parts)) < wanted:
        voice = f"{rng.choice(_LANGUAGES)}+{rng.choice(_VARIANTS)}"
        speed, pitch = str(int(rng.integers(110, 220))), str(int(rng.integers(20, 80)))
        command = ["espeak-ng", "--stdout", "-v", voice, "-s", speed, "-p", pitch]
        spoken = subprocess.run([*command, _words(rng, 14)], check=True, capture_output=True).stdout
        audio, rate_hz = soundfile.read(io.BytesIO(spoken), dtype="float32")
        # A voice of another size; its formants move with its pitch.
        size = rng.uniform(0.85, 1.2)
        parts.append(soxr.resample(audio, rate_hz * size, SAMPLE_RATE_HZ))
    return normalise(np.concatenate(parts)[:wanted])
