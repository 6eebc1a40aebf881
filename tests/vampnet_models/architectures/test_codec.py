"""The encoder's codes depend on the sound alone, not on how it is fed."""

import numpy as np
import pytest

from vampnet_models.architectures.synth import probe_audio
from vampnet_models.onnxfile.session import open_session

RECEPTIVE_FRAMES = 14
"""Frames to the left of a pad that the pad can reach (the small and the full encoder agree)."""


@pytest.fixture(scope="module")
def encoder(small_models):
    return open_session(small_models / "codec_encoder.onnx")


@pytest.fixture(scope="module")
def clip():
    return probe_audio(5)[: 60 * 768]


@pytest.mark.parametrize("samples", [1, 767, 768, 769, 40_000])
def test_any_length_is_padded_to_whole_frames(encoder, samples):
    audio = probe_audio(5)[None, None, :samples]
    codes = encoder.run({"audio": audio})["codes"]
    assert codes.shape == (1, 14, -(-samples // 768))
    padded = np.pad(audio, ((0, 0), (0, 0), (0, -samples % 768)))
    assert (encoder.run({"audio": padded})["codes"] == codes).all()


def test_a_clip_gives_the_same_codes_alone_and_in_a_batch(encoder, clip):
    others = np.stack([clip, clip[::-1].copy(), 0.1 * clip])[:, None]
    alone = encoder.run({"audio": clip[None, None]})["codes"]
    batch = encoder.run({"audio": others})["codes"]
    assert (batch[:1] == alone).all()


@pytest.mark.parametrize("frames", [1, 5, 50])
def test_whole_frames_of_padding_change_nothing_beyond_their_reach(encoder, clip, frames):
    alone = encoder.run({"audio": clip[None, None]})["codes"]
    longer = np.pad(clip, (0, frames * 768))[None, None]
    padded = encoder.run({"audio": longer})["codes"][:, :, :60]
    assert (padded[:, :, :-RECEPTIVE_FRAMES] == alone[:, :, :-RECEPTIVE_FRAMES]).all()


def test_the_decoder_gives_a_hop_of_audio_per_frame_within_full_scale(small_models):
    session = open_session(small_models / "codec_decoder.onnx")
    codes = np.random.default_rng(0).integers(0, 1024, (2, 14, 9))
    audio = session.run({"codes": codes})["audio"]
    assert audio.shape == (2, 1, 9 * 768)
    assert np.abs(audio).max() <= 1
    alone = session.run({"codes": codes[1:]})["audio"]
    assert np.abs(alone - audio[1:]).max() < 1e-5
