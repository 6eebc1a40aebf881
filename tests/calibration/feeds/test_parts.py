import numpy as np
import pytest

from calibration.audio.clips import Clip
from calibration.feeds.chain_feeds import Encoded, FeedSizes
from calibration.feeds.parts import encode_by_parts, part_feeds
from tests.vampnet_models.others import split_form
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session

SIZES = FeedSizes(clips=2, coarse_states=2, c2f_states=2)


@pytest.fixture(scope="module")
def pieces(small_models, tmp_path_factory):
    return split_form(small_models, tmp_path_factory.mktemp("split"))


@pytest.fixture(scope="module")
def encoded(small_models):
    rng = np.random.default_rng(0)
    clips = []
    for index in range(2):
        samples = (rng.standard_normal(768 * 20) / 10).astype(np.float32)
        clips.append(Clip(f"clip{index}", samples, str(index), "test"))
    session = open_session(small_models / "codec_encoder.onnx")
    codes = tuple(session.run({"audio": c.samples[None, None]})["codes"] for c in clips)
    return Encoded(tuple(clips), codes, "test", "encoder")


def feeds(pieces, encoded, name, upstream=None):
    before = None if upstream is None else open_session(pieces / f"{upstream}.onnx")
    return part_feeds(open_artifact(pieces / f"{name}.onnx").spec, encoded, SIZES, before)


def test_encoder_and_quantizer_give_the_whole_encoders_codes(pieces, encoded):
    encoder, quantizer = (open_session(pieces / f"lac_{n}.onnx") for n in ("encoder", "quantizer"))
    found = encode_by_parts(encoder, quantizer, encoded.clips, audio="test", upstream="parts")
    for ours, whole in zip(found.codes, encoded.codes, strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_pieces_fed_through_the_chain_give_what_the_whole_model_gives(
    pieces, encoded, small_models
):
    decoder = open_session(small_models / "codec_decoder.onnx")
    piece = open_session(pieces / "lac_decoder.onnx")
    found = feeds(pieces, encoded, "lac_decoder", "lac_from_codes")
    for feed, codes in zip(found.feeds, encoded.codes, strict=True):
        audio = piece.run(feed)["reconstructed_audio"]
        np.testing.assert_allclose(audio, decoder.run({"codes": codes})["audio"], atol=1e-5)


def test_embeddings_see_codes_and_mask_tokens_and_feed_the_transformer(pieces, encoded):
    found = feeds(pieces, encoded, "coarse_embeddings")
    values = np.concatenate([feed["codes"] for feed in found.feeds])
    assert values.shape == (2, 4, 20)
    assert (values == 1024).any()
    latents = feeds(pieces, encoded, "coarse_transformer", "coarse_embeddings").feeds
    session = open_session(pieces / "coarse_embeddings.onnx")
    for feed, source in zip(latents, found.feeds, strict=True):
        np.testing.assert_array_equal(feed["latents"], session.run(source)["latents"])


def test_a_piece_without_the_one_before_it_or_of_another_model_is_refused(pieces, encoded):
    with pytest.raises(InputError, match="needs the codec encoder"):
        feeds(pieces, encoded, "lac_quantizer")
    with pytest.raises(InputError, match="belong to different models"):
        feeds(pieces, encoded, "lac_decoder", "coarse_embeddings")
