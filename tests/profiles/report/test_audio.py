from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import soundfile

from profiles.report import audio
from vampnet_models.records.results import Sound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "run ü"
    run.mkdir()
    stereo = np.random.default_rng(0).normal(0, 0.1, (4410, 2))
    soundfile.write(run / "a.wav", stereo, 44_100, subtype="PCM_16")
    soundfile.write(tmp_path / "outside.wav", stereo, 44_100)
    (run / "broken.wav").write_bytes(b"RIFF....")
    (run / "notes.txt").write_text("x")
    soundfile.write(run / "none.wav", np.zeros((0, 1)), 44_100)
    return run


def test_a_sound_is_embedded_byte_for_byte(folder: Path) -> None:
    sound = audio.load_sound(Sound("a.wav", "a", "int8"), folder)
    assert sound.problem is None and sound.uri is not None and sound.picture is not None
    media, _, data = sound.uri.partition(",")
    assert media == "data:audio/wav;base64"
    assert base64.b64decode(data) == (folder / "a.wav").read_bytes()
    assert sound.note == "int8 · 100\u00a0ms, 44.1\u00a0kHz"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("gone.wav", "is missing"),
        ("broken.wav", "cannot be read"),
        ("notes.txt", "no sound file"),
        ("none.wav", "holds no samples"),
        ("../outside.wav", "outside the run's folder"),
    ],
)
def test_what_cannot_be_embedded_says_why(folder: Path, path: str, why: str) -> None:
    sound = audio.load_sound(Sound(path, "t", None), folder)
    assert sound.uri is None
    assert sound.problem is not None and why in sound.problem and path in sound.problem


def test_large_sounds_stay_outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_EMBED_AT_MOST_BYTES", 1_000)
    sound = audio.load_sound(Sound("a.wav", "a", None), folder)
    assert sound.problem is not None and "above the 1.00\u00a0kB" in sound.problem
