"""Clips as beat trackers want them: 22.05 kHz, of bounded or of the model's own length."""

from pathlib import Path

import numpy as np
import pytest

from calibration.audio.clips import make_clip
from calibration.feeds.chain_feeds import _BEAT_CLIP_S, Encoded, FeedSizes, at_beat_rate, make_feeds
from tests.beat_tracker import save_tracker
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import ModelSpec, Role, TensorSpec

SIZES = FeedSizes(clips=2, coarse_states=1, c2f_states=1)


def encoded(seconds: float, n: int = 3) -> Encoded:
    t = np.arange(int(seconds * 44_100)) / 44_100
    clips = tuple(
        make_clip(f"tone{i}", (0.1 * np.sin(2 * np.pi * 200 * (i + 1) * t)).astype("f4"), "test")
        for i in range(n)
    )
    return Encoded(clips, tuple(np.zeros((1, 14, 3), np.int64) for _ in clips), "test", "encoder")


def test_clips_are_resampled_under_the_models_own_input_name(tmp_path: Path) -> None:
    path = save_tracker(tmp_path / "wavebeat.onnx")
    found = make_feeds(open_artifact(path).spec, encoded(2.0), SIZES)
    assert found.role is Role.BEATS and found.upstream == "audio"
    assert [label.clip for label in found.labels] == ["tone0", "tone1"]
    feed = found.feeds[0]["audio"]
    assert feed.shape == (1, 1, 44_100) and feed.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(feed[0, 0]))
    assert np.fft.rfftfreq(44_100, 1 / 22_050)[spectrum.argmax()] == pytest.approx(200, abs=1)
    assert open_session(path).run(found.feeds[1])["logits"].shape == (1, 2, 173)


def test_long_clips_are_cut_and_fixed_lengths_kept() -> None:
    def spec(length: int | str) -> ModelSpec:
        inputs = (TensorSpec("wave", "float32", (1, 1, length)),)
        return ModelSpec(Role.BEATS, inputs, (TensorSpec("y", "float32", (1, 2, None)),), 17)

    long = encoded(_BEAT_CLIP_S + 1, n=1)
    assert make_feeds(spec("n"), long, SIZES).feeds[0]["wave"].shape[-1] == _BEAT_CLIP_S * 22_050
    fixed = make_feeds(spec(50_000), encoded(2.0, n=1), SIZES).feeds[0]["wave"]
    assert fixed.shape[-1] == 50_000 and not fixed[0, 0, 44_100:].any()


def test_no_clips_is_an_error() -> None:
    spec = ModelSpec(Role.BEATS, (TensorSpec("a", "float32", (1, 1, "n")),), (), 21)
    with pytest.raises(InputError, match="no clips for beats"):
        make_feeds(spec, Encoded((), (), "empty", "encoder"), SIZES)


def test_resampling_halves_the_samples_and_keeps_the_level() -> None:
    tone = np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100).astype(np.float32)
    half = at_beat_rate(make_clip("tone", tone, "test"))
    assert half.shape == (22_050,) and half.dtype == np.float32
    assert half[2000:-2050].std() == pytest.approx(np.sqrt(0.5), abs=1e-3)
