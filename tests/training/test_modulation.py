"""A buzz at the frame rate and crushed dynamics are seen, music and noise alone are not."""

from __future__ import annotations

import numpy as np
import pytest

from training.figures.modulation import frame_buzz_db, level_slope

RATE_HZ = 44100
TIME_S = np.arange(6 * RATE_HZ) / RATE_HZ


def _noise() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(len(TIME_S)).astype(np.float32)


def test_noise_has_no_buzz_and_noise_in_frames_has() -> None:
    noise = _noise()
    clicks = (1.0 + 0.3 * (np.arange(len(noise)) % 768 < 96)).astype(np.float32)
    assert abs(frame_buzz_db(noise)) < 2.5
    assert frame_buzz_db(noise * clicks) > 8.0


def test_a_buzz_at_another_rate_is_not_taken_for_it() -> None:
    clicks = (1.0 + 0.3 * (np.arange(len(TIME_S)) % 600 < 96)).astype(np.float32)
    assert frame_buzz_db(_noise() * clicks) < 2.5


def test_the_slope_is_the_exponent_of_the_dynamics() -> None:
    swell = 10.0 ** (np.sin(2.0 * np.pi * 0.3 * TIME_S) - 1.0)
    loud, noise = (swell * _noise()).astype(np.float32), _noise()
    assert level_slope(loud, loud) == pytest.approx(1.0)
    crushed = (np.sqrt(swell) * noise).astype(np.float32)
    assert level_slope(crushed, loud) == pytest.approx(0.5, abs=0.02)
    assert level_slope(0.2 * loud, loud) == pytest.approx(1.0, abs=0.01)


def test_silence_has_no_slope() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    with pytest.raises(ValueError, match="no dynamics"):
        level_slope(silence, silence)
