"""Descript's codec from the command line: rate, frames and seconds are the checkpoint's."""

import json
import re

import pytest
import soundfile

from optimize.recipes import RECIPES
from tests import dac
from tests.vampbench.conftest import tone

PIECES_S = (5, 5, 1)
"""How 11 seconds are cut."""


LONG = (pytest.param(rate, marks=pytest.mark.long) for rate in dac.RATES[1:])


@pytest.fixture(params=[dac.RATES[0], *LONG])
def codec(request, dac_codec):
    """A rate and the folder of its two models."""
    return request.param, dac_codec(request.param).record.parent


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A recording that calibrates and one that judges: 11 seconds each, at no codec's rate."""
    folder = tmp_path_factory.mktemp("sounds")
    for name in ("one", "two"):
        tone(folder / f"{name}.wav", seconds=11.0, rate_hz=32000)
    return folder


def frames(rate):
    return sum(-(-seconds * rate // dac.HOPS[rate]) for seconds in PIECES_S)


def test_eleven_seconds_are_as_many_frames_as_the_codec_says(codec, sounds, vampbench):
    rate, models = codec
    encoder = models / "codec_encoder.onnx"
    done = vampbench("verify", encoder, encoder, "--audio", sounds, "--json")
    assert done.code == 0
    accuracy = done.result["accuracy"]
    assert accuracy["n_positions"] == dac.CODEBOOKS[rate] * frames(rate)
    assert accuracy["token_agreement"] == 1.0
    assert len(accuracy["per_codebook"]) == dac.CODEBOOKS[rate]


def test_a_decoder_is_judged_by_its_sound(codec, sounds, vampbench):
    rate, models = codec
    decoder = models / "codec_decoder.onnx"
    done = vampbench(
        "verify", decoder, decoder, "--audio", sounds, "--min-agreement", 0.99, "--json"
    )
    assert done.code == 0
    unbounded = "least agreement 0.99 does not apply: no output is a token; it is judged by its SI-"
    assert any(unbounded in each for each in done.answer["warnings"])
    accuracy = done.result["accuracy"]
    assert accuracy["si_sdr_db"] > 100
    lost = {16000: 8, 24000: 8, 44100: 0}[rate]  # to the odd stride, each piece
    assert accuracy["n_positions"] == frames(rate) * dac.HOPS[rate] - lost * len(PIECES_S)


@pytest.mark.long
def test_real_time_is_counted_at_the_codecs_rate(codec, sounds, vampbench):
    rate, models = codec
    for name in ("codec_encoder", "codec_decoder"):
        done = vampbench(
            "profile", models / f"{name}.onnx", "--audio", sounds, "--rounds", 3, "--json"
        )
        assert done.code == 0
        timed = done.result["models"][0]["variants"][0]["profiles"]["cpu"]
        assert timed["audio_s"] == pytest.approx(5.0, abs=dac.HOPS[rate] / rate)
        assert timed["real_time_factor"] == pytest.approx(timed["median_s"] / timed["audio_s"])


@pytest.mark.long
def test_a_run_reports_both_models(codec, sounds, tmp_path, vampbench):
    rate, models = codec
    done = vampbench(
        "run", models, "--audio", sounds, "--target", "cpu", "--rounds", 3, "-o", tmp_path / "out"
    )
    assert done.code == 0
    assert (tmp_path / "out" / "report.html").is_file()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    statuses = {
        model["role"]: {v["recipe"]: v["status"] for v in model["variants"]}
        for model in results["models"]
    }
    recipes = dict.fromkeys((recipe.name for recipe in RECIPES), "ok")
    assert statuses == {
        "codec-encoder": recipes,
        "codec-decoder": recipes | {"int8-static": "not-applicable"},
    }
    for model in results["models"]:
        assert not model["failed_steps"]
        for variant in model["variants"]:
            for timed in variant["profiles"].values():
                assert timed["audio_s"] == pytest.approx(2.0, abs=dac.HOPS[rate] / rate)
    shown = vampbench("overview", tmp_path / "out")
    assert shown.code == 0
    assert re.search(r"(?m)^cpu +\S+ +\S+ +[\d.]+ MB", shown.stdout)
    listened = vampbench(
        "compare", sounds / "one.wav", "--run", tmp_path / "out", "-o", tmp_path / "heard", "--json"
    )
    assert listened.code == 0  # 10 s are whole frames, of which odd strides decode less
    assert listened.result["files"][0]["codes_equal"] == 1.0
    assert soundfile.info(tmp_path / "heard" / "1-reference.wav").samplerate == rate
    bundled = vampbench("bundle", tmp_path / "out", "--target", "cpu", "-o", tmp_path / "bundle")
    assert bundled.code == 0
    assert vampbench("check", tmp_path / "bundle").code == 0
