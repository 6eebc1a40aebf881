"""The main job on other exporters' files: nothing crashes, and everything says what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from calibration.feeds import model_feeds
from calibration.feeds.chain_feeds import FeedSizes
from tests.vampbench.conftest import Finished
from tests.vampnet_models.others import FIXTURES, foreign, split_form
from vampnet_models.onnxfile.artifact import save_model

FRAMES = 57
RECIPES = ("fused", "int8-static", "int4-weights")


@pytest.fixture(autouse=True)
def few_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    few = FeedSizes(clips=2, coarse_states=6, c2f_states=6)
    for side in ("CALIBRATION", "EVALUATION"):
        monkeypatch.setattr(model_feeds, side, replace(getattr(model_feeds, side), sizes=few))


def fixed_encoder(path: Path, out: Path) -> None:
    """The encoder as one exporter wrote it: `audio_padded` of one length."""
    model = foreign(path)
    source = model.graph.inputs[0]
    source.name = "audio_padded"
    source.shape = ir.Shape([1, 1, FRAMES * 768])
    model.graph.outputs[0].shape = ir.Shape([1, 14, FRAMES])
    save_model(model, out)


def run(
    vampbench: Callable[..., Finished], models: Path, recordings: Path, out: Path
) -> tuple[dict[str, Any], Finished]:
    arguments = ("--target", "mobile", "--recipes", ",".join(RECIPES), "--json")
    finished = vampbench("run", models, "--audio", recordings, "-o", out, *arguments)
    results = json.loads((out / "results.json").read_text())
    assert finished.code == 0, finished.stderr
    for model in results["models"]:
        assert len(model["variants"]) == len(RECIPES)
        for variant in model["variants"]:
            assert variant["status"] in ("ok", "not-applicable"), (model["name"], variant)
            assert variant["status"] == "ok" or variant["reason"]
    return {m["name"]: m for m in results["models"]}, finished


@pytest.mark.long
def test_models_of_one_length_go_through_the_whole_job(
    vampbench: Callable[..., Finished], tiny: Path, recordings: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    fixed_encoder(tiny / "codec_encoder.onnx", models / "encoder_prepadded.onnx")
    for name in ("tokens_classic", "logits_1025_dynamo", "logits_flat_relative"):
        shutil.copy(FIXTURES / f"{name}.onnx", models)
    found, finished = run(vampbench, models, recordings, tmp_path / "out")
    assert {name: m["role"] for name, m in found.items()} == {
        "encoder_prepadded": "codec-encoder",
        "tokens_classic": "coarse",
        "logits_1025_dynamo": "coarse",
        "logits_flat_relative": "coarse",
    }
    assert "logits_flat_relative: declares any length but 100 is baked in" in finished.stderr
    for name, has_logits in (("tokens_classic", False), ("logits_flat_relative", True)):
        fused = found[name]["variants"][0]["accuracy"]
        assert fused["token_agreement"] > 0.999
        assert [row["codebook"] for row in fused["per_codebook"]] == [0, 1, 2, 3]
        assert (fused["logits_kl"] is not None) == has_logits


@pytest.mark.long
def test_the_split_form_is_fed_through_its_own_pieces(
    vampbench: Callable[..., Finished], tiny: Path, recordings: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    split_form(tiny, models)
    found, finished = run(vampbench, models, recordings, tmp_path / "out")
    assert {m["role"] for m in found.values()} == {"generic"}
    assert "feeds are random" not in finished.stderr
    assert "no encoder among the models" not in finished.stderr
    fused = {name: m["variants"][0]["accuracy"] for name, m in found.items()}
    assert fused["coarse_transformer"]["token_agreement"] > 0.999
    assert fused["lac_quantizer"]["token_agreement"] > 0.999
    assert fused["lac_decoder"]["token_agreement"] is None
    assert fused["lac_decoder"]["snr_db"] > 60
    assert "judged by its SQNR" in fused["lac_encoder"]["notes"][0]


def test_make_dynamic_says_what_it_replaced_and_how_far_it_reaches(
    vampbench: Callable[..., Finished], tmp_path: Path
) -> None:
    out = tmp_path / "free.onnx"
    finished = vampbench("make-dynamic", FIXTURES / "tokens_classic.onnx", "-o", out)
    assert finished.code == 0
    assert "was fixed at 100 frames, takes up to 2048 frames" in finished.stdout
    assert "sinusoidal positions" in finished.stdout
    again = vampbench("make-dynamic", out, "-o", tmp_path / "again.onnx")
    assert again.code == 2
    assert "nothing to free" in again.stderr
