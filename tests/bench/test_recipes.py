"""The benchmark of the recipes, on one small product."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench.recipes import _SOURCE, lines, time_recipes
from profiles.measure.compare import read_timed
from profiles.measure.rounds import Plan
from vampnet_models.errors import InputError
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import PROFILE, RESULTS
from vampnet_models.records.results import Model, Results, Variant
from vampnet_models.spec import IR_VERSION, OPSET


@pytest.fixture
def run(tmp_path: Path) -> Path:
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [64, 64]) for n in ("x", "y")]
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "square", info[:1], info[1:])
    opset = [helper.make_opsetid("", OPSET)]
    source = tmp_path / "square.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), source)
    shutil.copy(source, tmp_path / "fused.onnx")
    (tmp_path / "broken.onnx").write_text("not a model")
    feeds = tmp_path / "work" / "feeds"
    feeds.mkdir(parents=True)
    np.savez(feeds / "square.npz", x=np.ones((64, 64), np.float32))
    variants = (
        Variant("fused", "ok", "fused.onnx", 1),
        Variant("fp16", "failed", reason="it overflows"),
        Variant("broken", "missed", "broken.onnx", 1),
    )
    model = Model("square", path=source.name, source_bytes=1, variants=variants)
    write_record(Results(models=(model,)), RESULTS, tmp_path / "results.json")
    return tmp_path


def test_every_made_variant_is_timed_against_its_source(run):
    timed = time_recipes(run, Plan(rounds=3, min_rounds=3, warmup_max=1, cold=False), 1)
    assert timed.host.cores >= 1
    (model,) = timed.models
    found = {each.recipe: each.profiles["cpu"] for each in model.variants}
    assert list(found) == [_SOURCE, "fused", "broken"]
    assert found["broken"].kind == "failed"
    for name in (_SOURCE, "fused"):
        assert len(found[name].samples_s) == 3
        assert found[name].threads == 1
    said = lines(timed)
    assert len(said) == 3
    assert " ms " in said[1]
    assert "failed" in said[2]
    write_record(timed, PROFILE, run / "timed.json")
    assert read_timed(run / "timed.json") == timed


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        time_recipes(tmp_path, Plan(), 1)
