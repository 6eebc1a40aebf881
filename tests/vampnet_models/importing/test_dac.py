"""Descript's codec at its three published rates, against the original classes' own answers."""

import json

import numpy as np
import pytest

from tests import dac
from vampnet_models.errors import InputError
from vampnet_models.importing.golden import verify_golden
from vampnet_models.onnxfile.artifact import load_model, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import CONFIG_KEY, Role

AUDIO_TOLERANCE = 1e-5
"""Ten times what float32 leaves between two orders of the same sums."""


@pytest.fixture(params=dac.RATES)
def codec(request, dac_codec):
    """A rate, its folder of models, what their import said."""
    result = dac_codec(request.param)
    return request.param, result.record.parent, result


def test_codes_and_audio_are_the_originals(codec):
    rate, _, result = codec
    assert result.golden is not None
    found = {figure.key: figure for figure in result.golden.figures}
    assert list(found) == ["codec_codes", "codec_decoded"]
    assert found["codec_codes"].value == 1.0
    assert 0 < found["codec_decoded"].value < AUDIO_TOLERANCE
    assert np.abs(dac.answers(rate)["codec_decoded"]).max() < 0.999  # the tanh hides nothing


def test_any_length_is_padded_as_the_original_pads_it(codec):
    rate, models, _ = codec
    golden = dac.answers(rate)
    session = open_session(models / "codec_encoder.onnx")
    lengths = [int(key.removeprefix("codes_")) for key in golden if key.startswith("codes_")]
    hop = dac.HOPS[rate]
    assert lengths == [1, hop, hop + 1, 3 * hop - 1]
    for length in lengths:
        codes = session.run({"audio": golden["codec_audio"][..., :length]})["codes"]
        assert codes.shape == (1, dac.CODEBOOKS[rate], -(-length // hop))
        np.testing.assert_array_equal(codes, golden[f"codes_{length}"])


def test_a_batch_is_encoded_and_decoded_row_by_row(codec):
    rate, models, _ = codec
    golden = dac.answers(rate)
    audio = np.concatenate([golden["codec_audio"], 0 * golden["codec_audio"]])
    codes = open_session(models / "codec_encoder.onnx").run({"audio": audio})["codes"]
    np.testing.assert_array_equal(codes[:1], golden["codec_codes"])
    decoded = open_session(models / "codec_decoder.onnx").run({"codes": codes})["audio"]
    np.testing.assert_allclose(decoded[:1], golden["codec_decoded"], atol=AUDIO_TOLERANCE)


def test_an_odd_stride_shortens_the_decoded_sound_as_the_originals(codec):
    rate, _, result = codec
    golden = dac.answers(rate)
    frames = golden["codec_codes"].shape[-1]
    short = {16000: 8, 24000: 8, 44100: 0}[rate]  # stride 5: one sample less, times 4 times 2
    assert golden["codec_decoded"].shape == (1, 1, frames * dac.HOPS[rate] - short)
    assert {figure.passed for figure in result.golden.figures} == {True}


def test_the_models_say_which_codec_they_are(codec):
    rate, models, _ = codec
    for role in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
        path = models / f"{role.value.replace('-', '_')}.onnx"
        assert open_artifact(path).role is role
        config = json.loads(load_model(path).metadata_props[CONFIG_KEY])
        assert (config["kind"], config["sample_rate"]) == ("dac", rate)
        assert config["n_codebooks"] == dac.CODEBOOKS[rate]


def test_the_answers_of_another_codec_are_refused(codec):
    rate, models, _ = codec
    other = next(each for each in dac.RATES if each != rate)
    with pytest.raises(InputError, match=r"codec_codes does not fit codec_decoder\.onnx"):
        verify_golden(models, dac.golden(other))
