"""Renditions, percussion, speech and noise: seeded, levelled, and what they claim to be."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("soxr")

from calibration.audio.loudness import TARGET_LUFS, integrated_loudness
from training.data.noise import noise
from training.data.scores import Work
from training.data.speech import speech


def _render() -> Callable[..., np.ndarray]:
    pytest.importorskip("mido", reason="the extra `train` is not installed")
    from training.data import render

    if shutil.which("fluidsynth") is None or not render.SOUND_FONT.is_file():
        pytest.skip("no fluidsynth with the sound font FluidR3: apt install fluid-soundfont-gm")
    return render.rendition


def _peak_hz(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(spectrum.argmax() * 44100 / len(audio))


def _scale(octave: int) -> Work:
    rows = [(0, n, 1, octave + pitch) for n, pitch in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]
    return Work("airdsAirs/x#scale", "train", np.array(rows, np.float32))


def test_a_rendition_is_seeded_levelled_and_fills_its_time() -> None:
    rendition = _render()
    first, again, other = (rendition(_scale(60), seed, 8.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (8 * 44100,)
    assert integrated_loudness(first, 44100) == pytest.approx(TARGET_LUFS, abs=1.0)
    # The scale lasts eight quarters, less than eight seconds: it is played again.
    assert all(np.abs(second).max() > 1e-3 for second in first.reshape(8, 44100))


def test_higher_notes_sound_higher() -> None:
    rendition = _render()
    # Three octaves and a fifth apart; of low notes a harmonic may be the loudest.
    low, high = (
        np.median([_peak_hz(rendition(_scale(at), seed, 4.0)) for seed in range(5)])
        for at in (40, 83)
    )
    assert high > 1.8 * low


def test_drums_have_no_pitch_to_speak_of() -> None:
    _render()
    from training.data.render import drum_solo

    audio = drum_solo(3, 6.0)
    assert audio.shape == (6 * 44100,)
    level = np.abs(audio[: len(audio) // 441 * 441]).reshape(-1, 441).max(1)
    assert level.max() > 5.0 * np.median(level)


def test_speech_is_voiced_seeded_and_levelled() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng: apt install espeak-ng")
    first, again, other = (speech(seed, 5.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (5 * 44100,)
    assert integrated_loudness(first, 44100) == pytest.approx(TARGET_LUFS, abs=1.5)


def test_noise_is_seeded_levelled_and_flat_in_time() -> None:
    first, again, other = (noise(seed, 6.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert integrated_loudness(first, 44100) == pytest.approx(TARGET_LUFS, abs=1.5)
    assert first.shape == (6 * 44100,)
