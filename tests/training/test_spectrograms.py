"""The pictures: louder is brighter, high is up, and every panel is there."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("PIL", reason="the extra `train` is not installed")

from training.figures.metrics import log_mel_db
from training.spectrograms import GAP_PX, TITLE_PX, shades, side_by_side


def _tone(frequency_hz: float) -> np.ndarray:
    time_s = np.arange(44100) / 44100
    return (0.3 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def test_louder_is_brighter_and_high_is_up() -> None:
    low, high = (shades(log_mel_db(_tone(f)))[:, 40].sum(1).argmax() for f in (200.0, 8000.0))
    assert high < 25 < 60 < low
    steps = shades(np.linspace(-60, 30, 40, dtype=np.float32)[None])[0].astype(int).sum(1)
    assert (np.diff(steps) > 0).all()


def test_a_panel_for_every_audio_in_its_order() -> None:
    silence = np.zeros(44100, np.float32)
    picture = np.asarray(side_by_side({"tone": _tone(440.0), "silence": silence}))
    width = (picture.shape[1] - GAP_PX) // 2
    below = picture[TITLE_PX:]
    assert below[:, :width].max() > 200
    assert below[:, width + GAP_PX :].max() == 4
    assert picture[:TITLE_PX, width + GAP_PX :].max() > 128
