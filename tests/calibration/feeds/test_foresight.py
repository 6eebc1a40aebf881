"""What is foreseen of the largest feed is what the feeds then are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.audio.clips import Clip, make_clip
from calibration.feeds.chain_feeds import CALIBRATION_SHARES, FeedSizes, encode_clips, make_feeds
from calibration.feeds.foresight import longest_feed
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import Role

SIZES = FeedSizes(clips=2, coarse_states=16, c2f_states=4, window_shares=CALIBRATION_SHARES)


def clip(name: str, seconds: float) -> Clip:
    rng = np.random.default_rng(len(name))
    samples = (rng.standard_normal(int(seconds * 44_100)) / 10).astype(np.float32)
    return make_clip(name, samples, name)


@pytest.mark.parametrize("name", ["codec_encoder", "codec_decoder", "coarse", "c2f"])
def test_the_largest_feed_is_foreseen(small_models: Path, name: str) -> None:
    clips = (clip("a", 0.4), clip("bb", 0.7))
    encoder = open_session(small_models / "codec_encoder.onnx")
    encoded = encode_clips(encoder, clips, audio="noise")
    artifact = open_artifact(small_models / f"{name}.onnx")
    feeds = make_feeds(artifact.spec, encoded, SIZES, session=open_session(artifact.path)).feeds
    longest = max(feeds, key=lambda feed: sum(values.nbytes for values in feed.values()))
    foreseen = longest_feed(artifact.spec, clips, SIZES)
    assert foreseen is not None
    assert {n: (v.shape, v.dtype) for n, v in foreseen.items()} == {
        n: (v.shape, v.dtype) for n, v in longest.items()
    }


def test_a_generic_model_is_not_foreseen(small_models: Path) -> None:
    spec = open_artifact(small_models / "coarse.onnx").spec
    assert longest_feed(replace(spec, role=Role.GENERIC), (clip("a", 0.4),), SIZES) is None
    assert longest_feed(spec, (), SIZES) is None
