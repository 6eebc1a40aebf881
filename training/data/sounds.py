"""The audio folder: which recordings and loops are trained on, and which are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from training.config import SAMPLE_RATE_HZ
from training.data.audio import Audio, normalise

TRAIN_RECORDINGS = ("fishin", "vibeace", "robin")
HELD_OUT_RECORDINGS = ("brahms", "trumpet", "speech")
# One of every kind, so that a held-out arrangement has drums, a bass, notes and a loop.
_HELD_OUT_SOUNDS = (
    "ambi_piano",
    "arovane_beat_d",
    "bass_trance_c",
    "bd_tek",
    "drum_tom_mid_hard",
    "elec_chime",
    "elec_twang",
    "glitch_bass_g",
    "guit_harmonics",
    "hat_zild",
    "loop_compus",
    "loop_garzul",
    "loop_tabla",
    "perc_bell2",
    "sn_dolf",
    "tabla_na_o",
)
# Hiss, door slams and speech-like noise carry no music and would only blur the token statistics.
_UNUSED_SOUNDS = ("vinyl_hiss", "vinyl_rewind", "misc_burp", "misc_crow", "perc_door", "ambi_sauna")


def _read_mono(path: Path) -> Audio:
    """A file as float32 `[samples]` at 44.1 kHz, mixed to mono."""
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = audio.mean(1)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    return np.ascontiguousarray(mono, np.float32)


def recordings(folder: Path, names: tuple[str, ...]) -> dict[str, Audio]:
    """The named recordings at -24 LUFS, by name."""
    return {name: normalise(_read_mono(folder / f"{name}.ogg")) for name in names}


def sounds(folder: Path, held_out: bool) -> dict[str, Audio]:
    """The loops and one-shots of one side of the split, each at peak 1, by name."""
    chosen: dict[str, Audio] = {}
    for path in sorted((folder / "cc0").glob("*.ogg")):
        if path.stem not in _UNUSED_SOUNDS and (path.stem in _HELD_OUT_SOUNDS) == held_out:
            audio = _read_mono(path)
            chosen[path.stem] = audio / max(float(np.abs(audio).max()), 1e-6)
    return chosen
