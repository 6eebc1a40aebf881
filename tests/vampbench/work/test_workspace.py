"""A run's folder and what lies in it already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from tests.tiny_graphs import product
from vampnet_models.errors import InputError

RNG = np.random.default_rng(0)
FEEDS = [{"x": RNG.standard_normal((4, 64), np.float32)} for _ in range(4)]


def run(model: Path, out: Path) -> None:
    found = vb.run(model, out, data=FEEDS, recipes="fused", targets="mobile")
    assert found.ok, found.missed


def test_results_of_other_models_are_not_overwritten(tmp_path: Path) -> None:
    first, other, out = tmp_path / "m.onnx", tmp_path / "other.onnx", tmp_path / "out"
    product(first)
    product(other, seed=1)
    run(first, out)
    before = (out / "results.json").read_bytes()
    with pytest.raises(InputError, match=r"out: holds the results of other models \(m\); give"):
        run(other, out)
    with pytest.raises(InputError, match="holds the results of other models"):
        vb.tune(other, out, data=FEEDS, min_agreement=0.5)
    assert (out / "results.json").read_bytes() == before


def test_a_model_is_the_same_at_its_path_or_by_its_content(tmp_path: Path) -> None:
    first, moved, out = tmp_path / "m.onnx", tmp_path / "moved.onnx", tmp_path / "out"
    product(first)
    run(first, out)
    shutil.move(first, moved)
    run(moved, out)
    product(moved, seed=1)
    run(moved, out)
    assert json.loads((out / "results.json").read_text())["models"][0]["name"] == "moved"


def test_results_that_cannot_be_read_stop_nothing(tmp_path: Path) -> None:
    model, out = tmp_path / "m.onnx", tmp_path / "out"
    product(model)
    out.mkdir()
    (out / "results.json").write_text("{")
    run(model, out)
    assert json.loads((out / "results.json").read_text())["models"][0]["name"] == "m"
