"""A model for one length is judged and timed against its source, which takes any."""

from __future__ import annotations

import pytest

from calibration.feeds.lengths import in_step
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.progress import Reporter


@pytest.fixture
def static(vampbench, tiny, tmp_path):
    def make(model, *options):
        out = tmp_path / f"{model}{''.join(map(str, options))}.onnx"
        assert vampbench("make-static", tiny / f"{model}.onnx", *options, "-o", out).code == 0
        return out

    return make


@pytest.mark.parametrize("model", ["codec_encoder", "codec_decoder"])
def test_verify_feeds_the_length_of_a_static_variant(vampbench, tiny, recordings, static, model):
    made = static(model, "--frames", 40)
    done = vampbench("verify", tiny / f"{model}.onnx", made, "--audio", recordings, "--json")
    assert done.code == 0, done.stderr
    found = done.result
    accuracy = found["accuracy"]
    assert accuracy["token_agreement"] == 1 or accuracy["si_sdr_db"] > 100
    assert "40]" in done.stderr or f"{40 * 768}]" in done.stderr


def test_a_transformer_is_fed_both_inputs_of_its_variants_size(tiny, static):
    source, made = open_artifact(tiny / "coarse.onnx"), open_artifact(static("coarse"))
    fed = in_step(source, [source, made], Reporter())
    assert [t.shape for t in fed.spec.inputs] == [(1, 4, 173), (1, 4, 173)]
    assert in_step(source, [source], Reporter()) == source
    assert in_step(made, [source], Reporter()) == made


def test_profile_feeds_the_length_of_a_static_variant(vampbench, tiny, recordings, static):
    made = static("codec_decoder", "--frames", 20)
    options = ("--audio", recordings, "--target", "cpu:1", "--rounds", 3, "--json")
    done = vampbench("profile", tiny / "codec_decoder.onnx", made, *options)
    assert done.code == 0, done.stderr
    (model,) = done.result["models"]
    assert {v["profiles"]["cpu"]["kind"] for v in model["variants"]} == {"measurement"}


def test_sizes_that_do_not_meet_are_one_line(vampbench, tiny, recordings, static):
    source = tiny / "codec_decoder.onnx"
    short, long = (static("codec_decoder", "--frames", n) for n in (20, 30))
    pair = static("codec_decoder", "--frames", 20, "--batch", 2)
    done = vampbench("profile", source, short, long, "--audio", recordings)
    assert (done.code, len(done.lines)) == (2, 1)
    assert f"{long}: takes codes of 30 where {short.name} takes 20" in done.lines[0]
    done = vampbench("verify", source, pair, "--audio", recordings)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "takes a batch of 2 alone" in done.lines[0]


def test_golden_vectors_of_another_length_are_refused(
    vampbench, tiny, recordings, static, tmp_path
):
    source, golden = tiny / "codec_decoder.onnx", tmp_path / "golden.npz"
    made = static("codec_decoder", "--frames", 20)
    fed = ("--audio", recordings, "--write-golden", golden)
    assert vampbench("verify", source, source, *fed).code == 0
    done = vampbench("verify", source, made, "--golden", golden)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "takes [1, 14, 20] alone" in done.lines[0]
    assert vampbench("verify", source, made, *fed).code == 0
    assert vampbench("verify", source, made, "--golden", golden).code == 0
    assert vampbench("verify", source, source, "--golden", golden).code == 0
