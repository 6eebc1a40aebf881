"""`tune` on the smallest models: what it promises, writes and resumes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from optimize.tuning import candidates, kept_trials, mixed, refine, shared_budget
from optimize.tuning.sensitivity import Trials
from tests.vampbench.cli.ship.test_tuned import timed
from tests.vampbench.conftest import tone
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import TUNING, versioned
from vampnet_models.records.tuning import Tuning


@pytest.fixture(scope="module")
def pair(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder and a coarse model: tokens by search, in seconds."""
    folder = tmp_path_factory.mktemp("pair")
    for name in ("codec_encoder.onnx", "coarse.onnx"):
        shutil.copy(tiny / name, folder)
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.long
def test_a_set_within_the_budget(vampbench, pair, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trials, "_TRIAL_FEEDS", 2)
    monkeypatch.setattr(candidates, "_MAX_MIXTURES", 3)
    out = tmp_path / "a tuned set"
    arguments = ["tune", pair, "--audio", recordings, "-o", out, "--rounds", "3"]
    done = vampbench(*arguments, "--min-agreement", "0.9", "--json")
    assert done.code == 0
    result = done.result
    assert result == read(out / "tune.json")
    assert versioned(read_record(Tuning, TUNING, out / "tune.json"), TUNING) == result
    assert result["met"] and result["seeded"]
    assert "seeded weights: not an accuracy claim" in done.stderr
    for name in ("codec_encoder", "coarse"):
        steps = re.findall(rf"^\[(\d+)/(\d+)\] {name}: ", done.stderr, re.MULTILINE)
        numbers = [int(number) for number, _ in steps]
        assert numbers == sorted(numbers) and numbers[-1] == int(steps[-1][1])
        assert len({total for _, total in steps}) <= 3
    source = sum((pair / f"{m['name']}.onnx").stat().st_size for m in result["models"])
    assert result["chosen"]["bytes"] < source
    assert result["smallest"]["bytes"] <= result["chosen"]["bytes"]
    uniform = result["uniform"]
    if uniform is None:
        assert result["verdict"]["code"] == "tuned-alone"
    else:
        better = result["chosen"]["bytes"] < uniform["bytes"]
        assert result["verdict"]["code"] == ("tuned-better" if better else "uniform")
    assert result["verdict"]["text"] in done.stderr
    for model in result["models"]:
        assert model["accuracy"]["token_agreement"] >= 0.9
        record = read(out / f"{model['name']}.variant.json")
        assert record["sha256"] == open_artifact(out / f"{model['name']}.onnx").sha256
        assert record["runtime_checked"]
        for block in model["blocks"]:
            offered = [option["precision"] for option in block["options"]]
            assert block["chosen"] in (*offered, model["recipe"])
            assert block["why"]["code"] and block["why"]["text"]
    sizes = [each["bytes"] for each in result["front"]]
    assert sizes == sorted(sizes)
    assert (out / "report.html").is_file()
    assert read(out / "results.json")["models"][0]["variants"][0]["status"] == "ok"

    monkeypatch.setattr(Trials, "__init__", lambda *_: pytest.fail("a trial was run again"))
    again = vampbench(*arguments, "--min-agreement", "0.9", "--json")
    assert again.result["chosen"] == result["chosen"]

    impossible = vampbench(*arguments, "--max-bytes", "1kB", "--json")
    assert impossible.code == 1
    refused = impossible.result
    assert not refused["met"] and refused["nearest"]
    assert "nothing meets the budget" in impossible.stderr
    assert "still holds the models and the report of an earlier search" in impossible.stderr


@pytest.mark.long
def test_a_shared_size_is_spent(vampbench, pair, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trials, "_TRIAL_FEEDS", 2)
    monkeypatch.setattr(candidates, "_MAX_MIXTURES", 2)
    arguments = ["tune", pair, "--audio", recordings, "--rounds", "3", "--json"]
    source = sum(open_artifact(pair / name).bytes for name in ("codec_encoder.onnx", "coarse.onnx"))
    limit = round(0.45 * source)
    budget = ["--max-bytes", str(limit)]
    spent = vampbench(*arguments, *budget, "-o", tmp_path / "spent")
    assert spent.code == 0 and "shared budget, round 1" in spent.stderr
    monkeypatch.setattr(shared_budget, "_MOST_ROUNDS", 0)
    # Times are measured once: others could lead to another set.
    shutil.copytree(tmp_path / "spent" / "work", tmp_path / "unspent" / "work")
    unspent = vampbench(*arguments, *budget, "-o", tmp_path / "unspent")
    assert unspent.code == 0 and "shared budget" not in unspent.stderr
    found, before = (done.result for done in (spent, unspent))
    assert before["chosen"]["bytes"] < found["chosen"]["bytes"] <= limit
    recipes, known = ({p["recipe"] for p in r["chosen"]["parts"]} for r in (found, before))
    assert recipes - known


@pytest.mark.long
def test_an_interrupted_search_goes_on_to_the_same_set(
    vampbench, tiny, recordings, tmp_path, monkeypatch
):
    """Times differ from run to run, so the smallest set is asked for: it rests on sizes alone."""
    monkeypatch.setattr(kept_trials, "_TRIAL_FEEDS", 2)
    monkeypatch.setattr(candidates, "_MAX_MIXTURES", 2)
    (tmp_path / "models").mkdir()
    shutil.copy(tiny / "coarse.onnx", tmp_path / "models")
    asked = ["--audio", recordings, "--rounds", "3", "--min-agreement", "0.9", "--json"]
    one_by_one, mixtures = Trials.measure, Trials.compare
    compared: list[Any] = []

    def counted(self: Trials, assignment: Any) -> Any:
        compared.append(assignment)
        return mixtures(self, assignment)

    monkeypatch.setattr(Trials, "compare", counted)
    whole = vampbench("tune", tmp_path / "models", *asked, "-o", tmp_path / "whole")
    assert whole.code == 0 and compared
    every = list(compared)
    compared.clear()

    measured: list[str] = []

    def measure(self: Trials, block: str, precision: str) -> Any:
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.append(f"{block} {precision}")
        return one_by_one(self, block, precision)

    command = ["tune", tmp_path / "models", *asked, "-o", tmp_path / "broken"]
    monkeypatch.setattr(Trials, "measure", measure)
    stopped = vampbench(*command)
    assert stopped.code == 130 and "goes on from there" in stopped.stderr
    assert not (tmp_path / "broken" / "tune.json").exists()

    def all_but_one(self: Trials, assignment: Any) -> Any:
        if len(compared) == len(every) - 1:
            raise KeyboardInterrupt
        return counted(self, assignment)

    def again(self: Trials, block: str, precision: str) -> Any:
        assert f"{block} {precision}" not in measured
        return one_by_one(self, block, precision)

    monkeypatch.setattr(Trials, "measure", again)
    monkeypatch.setattr(Trials, "compare", all_but_one)
    assert vampbench(*command).code == 130
    monkeypatch.setattr(Trials, "compare", counted)
    done = vampbench(*command)
    assert done.code == 0 and compared == every
    assert "kept from before: feeds, " in done.stderr and " trials" in done.stderr

    def chosen(found: Any) -> Any:
        result = found.result
        parts = [(p["recipe"], p["bytes"], p["agreement"]) for p in result["chosen"]["parts"]]
        return parts, result["uniform"] and result["uniform"]["recipe"]

    assert chosen(done) == chosen(whole)
    (model,) = done.result["models"]
    free = model["free_running"]
    assert free["floor"]["kept"] >= free["variant"]["kept"] > 0.5
    assert free["variant"]["n_tokens"] == free["floor"]["n_tokens"] > 0


def test_one_folder_for_both_sides_is_refused(vampbench, pair, recordings, tmp_path):
    sides = ["--audio", recordings, "--evaluation-audio", recordings]
    done = vampbench("tune", pair, *sides, "-o", tmp_path / "out")
    assert done.code == 2
    assert "nothing is left to calibrate on, all of it is in" in done.stderr
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_line(vampbench, tmp_path):
    (tmp_path / "empty").mkdir()
    done = vampbench("tune", tmp_path / "empty", "-o", tmp_path / "out")
    assert done.code == 2
    assert "holds no .onnx file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_too_few_recordings_are_told_before_a_search(
    vampbench, tiny, recordings, tmp_path, monkeypatch
):
    monkeypatch.setattr(Trials, "__init__", lambda *_: pytest.fail("a trial was run"))
    (tmp_path / "models").mkdir()
    for name in ("codec_encoder.onnx", "codec_decoder.onnx"):
        shutil.copy(tiny / name, tmp_path / "models")
    done = vampbench("tune", tmp_path / "models", "--audio", recordings, "-o", tmp_path / "out")
    assert done.code == 1
    assert "codec_encoder: cannot tell: 1 recording and 1 clip" in done.stderr
    assert "it needs 4 recordings and 19 clips more" in done.stderr
    assert not (tmp_path / "out" / "tune.json").exists()


def test_bounds_that_contradict_each_other_are_refused(vampbench, pair, tmp_path):
    asked = ["--grade", "harmless", "--max-cost", "0.02"]
    done = vampbench("tune", pair, *asked, "-o", tmp_path / "out")
    assert done.code == 2
    assert "max-cost 0.02: contradicts the grade harmless, whose bound is 0.01" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_set_by_cost_is_shown_to_keep_it(vampbench, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trials, "_TRIAL_FEEDS", 2)
    monkeypatch.setattr(candidates, "_MAX_MIXTURES", 2)
    monkeypatch.setattr(refine, "MOST_TRIALS", 2)
    monkeypatch.setattr(mixed, "_PRECISIONS", ("float32", "float16-weights", "int8-weights"))
    monkeypatch.setattr(candidates, "profile_variants", timed)
    for side, n in (("audio", 4), ("judge", 12)):
        (tmp_path / side).mkdir()
        for number in range(n):
            tone(tmp_path / side / f"{side}{number}.wav", seconds=2.0)
    sides = ["--audio", tmp_path / "audio", "--evaluation-audio", tmp_path / "judge"]
    # No decoder lets the encoder's codes be heard: its tokens are bounded.
    asked = ["--max-cost", "0.01", "--min-agreement", "0.5"]
    done = vampbench("tune", pair, *sides, *asked, "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.stderr
    result = done.result
    assert result["wish"]["max_cost_nats"] == 0.01 and result["wish"]["grade"] is None
    assert result["chosen"]["cost_nats"]["high"] <= 0.01 and result["chosen"]["loss"] <= 2
    encoder, coarse = result["models"]
    assert "harmless" in coarse["grades"] and encoder["grades"] == []
    assert "no cost above " in coarse["judged"] and " nats per token found on " in coarse["judged"]
    assert "token agreement, 50.00 % asked" in encoder["judged"]
    assert any(o["cost"] is not None for b in coarse["blocks"] for o in b["options"])
    decision = read(tmp_path / "out" / "results.json")["decision"]["cpu"]
    assert decision["grade"] == "token agreement from 50.00 %, cost up to 0.01 nats per token"
    assert any("no cost above" in reason for reason in decision["reasons"])
    assert "Cost alone" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_target_that_is_not_here_is_refused(vampbench, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    out = tmp_path / "out"
    done = vampbench("tune", pair, "--target", "cuda", "-o", out)
    assert (done.code, done.stdout) == (2, "")
    (line,) = done.errors
    assert "has no CUDAExecutionProvider; use an environment and a machine that have it" in line
    assert not out.exists()
