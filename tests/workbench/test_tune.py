"""`tune` on the smallest models: what it promises, writes and resumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from optimize.sensitivity import Trials
from vampnet_models.artifact import open_artifact
from vampnet_models.errors import InputError
from workbench import candidates
from workbench.tune import parse_bytes


@pytest.fixture(scope="module")
def pair(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder and a coarse model: tokens by search, in seconds."""
    folder = tmp_path_factory.mktemp("pair")
    for name in ("codec_encoder.onnx", "coarse.onnx"):
        shutil.copy(tiny / name, folder)
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_set_within_the_budget(vampbench, pair, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "TRIAL_FEEDS", 2)
    monkeypatch.setattr(candidates, "MAX_MIXTURES", 3)
    out = tmp_path / "a tuned set"
    arguments = ["tune", pair, "--audio", recordings, "-o", out, "--rounds", "3"]
    done = vampbench(*arguments, "--min-agreement", "0.9", "--json")
    assert done.code == 0
    result = json.loads(done.stdout)
    assert result == read(out / "tune.json")
    assert result["met"] and result["seeded"]
    assert "seeded weights: not an accuracy claim" in done.stderr
    source = sum((pair / f"{m['name']}.onnx").stat().st_size for m in result["models"])
    assert result["chosen"]["bytes"] < source
    assert result["smallest"]["bytes"] <= result["chosen"]["bytes"]
    for model in result["models"]:
        assert model["accuracy"]["token_agreement"] >= 0.9
        record = read(out / f"{model['name']}.variant.json")
        assert record["sha256"] == open_artifact(out / f"{model['name']}.onnx").sha256
        assert record["runtime_checked"]
        for block in model["blocks"]:
            assert block["chosen"] in [option["precision"] for option in block["options"]]
    sizes = [each["bytes"] for each in result["front"]]
    assert sizes == sorted(sizes)
    assert (out / "report.html").is_file()
    assert read(out / "results.json")["models"][0]["variants"][0]["status"] == "ok"

    monkeypatch.setattr(Trials, "__init__", lambda *_: pytest.fail("a trial was run again"))
    again = vampbench(*arguments, "--min-agreement", "0.9", "--json")
    assert json.loads(again.stdout)["chosen"] == result["chosen"]

    impossible = vampbench(*arguments, "--max-bytes", "1kB", "--json")
    assert impossible.code == 1
    refused = json.loads(impossible.stdout)
    assert not refused["met"] and refused["nearest"]
    assert "nothing meets the budget" in impossible.stderr


def test_sizes_as_people_write_them():
    assert parse_bytes("1.0GB") == 10**9
    assert parse_bytes("850 mb") == 850 * 10**6
    assert parse_bytes("1234") == 1234
    with pytest.raises(InputError, match=r"--max-bytes lots: no size; give one like 1\.0GB"):
        parse_bytes("lots")


def test_bad_input_is_one_line(vampbench, tmp_path):
    (tmp_path / "empty").mkdir()
    done = vampbench("tune", tmp_path / "empty", "-o", tmp_path / "out")
    assert done.code == 2
    assert "holds no .onnx file" in done.stderr
    assert not (tmp_path / "out").exists()
