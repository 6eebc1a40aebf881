"""The same recordings at the rate of a model."""

import numpy as np
import pytest

from calibration.audio.clips import MASTER_RATE_HZ, AudioSet, make_clip


def tone(hz, seconds=1.0):
    n = round(seconds * MASTER_RATE_HZ)
    return np.sin(2 * np.pi * hz * np.arange(n) / MASTER_RATE_HZ).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 48_000])
def test_a_clip_at_another_rate_lasts_as_long_and_sounds_the_same(rate_hz):
    clip = make_clip("tone", tone(440), "test").at_rate(rate_hz)
    assert clip.sample_rate_hz == len(clip.samples) == rate_hz
    assert clip.duration_s == 1
    loudest = np.abs(np.fft.rfft(clip.samples)).argmax()
    assert loudest == 440
    assert np.abs(clip.samples).max() <= 1


def test_at_its_own_rate_a_clip_is_itself_and_elsewhere_another():
    clip = make_clip("tone", tone(440), "test", ("clipped",))
    assert clip.at_rate(MASTER_RATE_HZ) is clip
    low = clip.at_rate(16_000)
    assert low.sha256 != clip.sha256 and low.warnings == ("clipped",)
    audio = AudioSet("two", (clip,), (clip,))
    assert audio.at_rate(MASTER_RATE_HZ).sha256 == audio.sha256
    assert [c.sha256 for c in audio.at_rate(16_000).evaluation] == [low.sha256]


def test_the_start_of_a_clip_is_a_frame_of_codes_at_least():
    clip = make_clip("tone", tone(440), "test").at_rate(16_000)
    assert clip.start(0.5).duration_s == 0.5
    assert len(clip.start(1e-6).samples) == 768
