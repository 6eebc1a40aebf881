"""`run --song`: what the transformers play, as a step of the job."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.profiles.report.tables.test_songs import results, song
from tests.vampbench.conftest import Finished, tone
from vampbench.work import song as playing
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Model

Run = Callable[..., Finished]


@pytest.fixture(scope="module")
def models(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder and the coarse model: c2f takes longer."""
    folder = tmp_path_factory.mktemp("playing")
    for name in ("codec_encoder.onnx", "coarse.onnx"):
        shutil.copy(tiny / name, folder)
    return folder


def arguments(models: Path, recordings: Path, out: Path, *more: str) -> list[str]:
    chosen = ["--recipes", "fused,int8-weights", "--target", "mobile"]
    return ["run", str(models), "--audio", str(recordings), "-o", str(out), *chosen, *more]


def accuracies(out: Path) -> dict[str, Any]:
    results = json.loads((out / "results.json").read_text())
    return {
        f"{model['name']} {variant['recipe']}": variant["accuracy"]
        for model in results["models"]
        for variant in model["variants"]
    }


def test_a_run_tells_the_share_and_finds_it_kept(
    models: Path, recordings: Path, tmp_path: Path, vampbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = vampbench(*arguments(models, recordings, out, "--song"))
    assert first.code == 0, first.stderr
    written = json.loads((out / "results.json").read_text())
    (played,) = written["song_prompts"]
    assert played["n_prompts"] == 24 and played["frames"] < 173
    found = accuracies(out)
    fused = found["coarse fused"]["same_song"]
    assert fused["value"] > 0.95 and fused["floor"] > 0.95 and fused["n"] > 1000
    assert 0 < found["coarse int8-weights"]["same_song"]["value"] < 1
    assert found["codec_encoder fused"]["same_song"] is None
    assert f"same song: from 24 prompts of {played['frames']} frames" in first.stderr
    assert "same song" in first.stdout and "cannot tell" in first.stdout
    note = "no song of the set: there is no c2f in it: it takes the whole chain"
    assert written["decision"]["cpu"]["smallest"]["song"]["note"] == note
    assert first.stderr.count(f"warning: {note}") == 1 and f": {note}" in first.stdout
    page = (out / "report.html").read_text()
    assert "<dt>Same song</dt>" in page and "same song " in page

    def never(*_: object) -> None:
        raise AssertionError("played again")

    monkeypatch.setattr(playing, "same_song", never)
    again = vampbench(*arguments(models, recordings, out, "--song", "--json"))
    assert "song of fused, song of int8-weights" in again.stderr.replace("\n", " ")
    told = again.result["models"][1]["variants"][0]["accuracy"]["same_song"]
    assert told["value"] == fused["value"]
    without = vampbench(*arguments(models, recordings, out))
    assert without.code == 0 and "same song" not in without.stdout + without.stderr
    assert accuracies(out)["coarse fused"]["same_song"] is None


def test_what_a_song_needs_is_said_in_one_line(
    tiny: Path, models: Path, recordings: Path, tmp_path: Path, vampbench: Run
) -> None:
    codec = tmp_path / "codec"
    codec.mkdir()
    shutil.copy(tiny / "codec_encoder.onnx", codec)
    found = vampbench(*arguments(codec, recordings, tmp_path / "out", "--song"))
    assert found.code == 2
    assert found.errors == [
        "error: same song: no transformer is among the models: nothing plays; leave --song out"
    ]
    short = tmp_path / "short"
    short.mkdir()
    for name in ("one.wav", "two.wav"):
        tone(short / name, seconds=0.5)
    found = vampbench(*arguments(models, short, tmp_path / "other", "--song"))
    assert found.code == 2
    assert found.errors == [
        "error: same song: the longest clip that judges has 29 frames of codes, one prompt takes "
        "43 (0.75 s); give longer recordings"
    ]


def test_overview_tells_what_a_set_plays(tmp_path: Path, vampbench: Run) -> None:
    models = (Model("coarse", "coarse", "coarse.onnx", 1000),)
    write_record(replace(results(song()), models=models), RESULTS, tmp_path / "results.json")
    found = vampbench("overview", tmp_path)
    assert found.code == 0, found.stderr
    said = " ".join(found.stdout.split())
    assert "What the sets play" in said
    assert "same song" in said and "93.00 %" in said and "floor 99.80 %" in said
    assert "nats, coarse" in said and "seeds 0 to +0.0200" in said and "sound, MMD2" in said
    assert "cpu, android: pieces of this set are as likely under FP32 as its own of other" in said
