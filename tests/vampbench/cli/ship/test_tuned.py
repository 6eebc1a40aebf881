"""What `tune` says of a search, and ships of it: a model of one product, on given times."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vampbench as vb
from optimize.tuning import candidates
from tests.tiny_graphs import product
from tests.vampbench.conftest import Finished
from vampnet_models.onnxfile.artifact import sha256_of
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import TUNING
from vampnet_models.records.profiles import Measurement, Profiles
from vampnet_models.records.tuning import Tuning

Command = Callable[..., Finished]
FASTEST = "int8-dynamic"


def timed(variants: Mapping[str, Path], *_: object, **__: object) -> Profiles:
    """FP32 takes a second, and of the others one is twice as fast; the machine is busy."""
    found: Profiles = {}
    for name in variants:
        median_s = 0.5 if name == FASTEST else 1.0
        samples_s = tuple(median_s * (1 + i / 1000) for i in range(9))
        found[name] = {
            "cpu": Measurement(
                target="cpu",
                median_s=median_s,
                samples_s=samples_s,
                ratio_to_reference=median_s,
                noisy=name == FASTEST,
            )
        }
    return found


def search_of(folder: Path, vampbench: Command) -> Callable[..., Finished]:
    """`tune` of a product with feeds of its own, to FOLDER/out, with more words."""
    model = product(folder / "m.onnx")
    rng = np.random.default_rng(0)
    feeds = {f"x/{i}": rng.standard_normal((4, 64), np.float32) for i in range(8)}
    np.savez(folder / "f.npz", allow_pickle=False, **feeds)
    given: tuple[Any, ...] = ("tune", model, "--feeds", folder / "f.npz", "-o", folder / "out")
    return lambda *words: vampbench(*given, *words)


@pytest.fixture
def tune(
    tmp_path: Path, vampbench: Command, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished]:
    """The same search with other bounds."""
    monkeypatch.setattr(candidates, "profile_variants", timed)
    return search_of(tmp_path, vampbench)


def test_a_search_tells_its_sets_and_a_bundle_packs_the_chosen(
    tune: Callable[..., Finished], tmp_path: Path, vampbench: Command
) -> None:
    done = tune("--min-agreement", "0.9")
    assert done.code == 0, done.stderr
    found = read_record(Tuning, TUNING, tmp_path / "out" / "tune.json")
    assert found.chosen is not None and found.fastest.parts[0].recipe == FASTEST
    rows = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    chosen = f"{found.chosen.latency:.2f}"
    assert rows["chosen, on held-out data"][-2:] == [chosen, "x"]
    assert rows["fastest of all, on the search's states"][-2:] == ["0.50", "x"]
    (model,) = found.models
    assert f"{model.name}: {model.recipe}" in done.stdout
    assert f"verdict   {found.verdict.text}" in done.stdout
    grades = ", ".join(model.grades) or "none is shown to hold"
    assert f"  grade         {grades}\n" in done.stdout
    assert all(f"reverted  {each.text}" in done.stdout for each in found.reverted)
    assert "times are noisy" in done.stderr
    packed = vb.bundle(tmp_path / "out", "android", tmp_path / "bundle")
    assert [m.recipe for m in packed.manifest.models] == [model.recipe]
    (shipped,) = (tmp_path / "bundle" / "models").glob("*.onnx")
    assert sha256_of((shipped,)) == sha256_of((tmp_path / "out" / "m.onnx",))


def test_a_budget_that_nothing_meets_shows_the_nearest(
    tune: Callable[..., Finished], tmp_path: Path
) -> None:
    done = tune("--min-agreement", "0.9", "--max-bytes", "1kB", "--json")
    assert done.code == 1 and not done.result["met"]
    assert done.answer["warnings"][0] == "nothing meets the budget; the nearest:"
    kept = {each["keeps"] for each in done.result["nearest"]}
    assert kept and "keeps the tokens, the smallest" in done.stderr
    assert not (tmp_path / "out" / "results.json").exists()
    assert json.loads((tmp_path / "out" / "tune.json").read_text())["chosen"] is None
    assert tune("--max-latency", "50", "--min-agreement", "0.5").code == 0
    again = tune("--min-agreement", "0.9", "--max-bytes", "1kB")
    assert "still holds the models and the report of an earlier search" in again.stderr
