"""The benchmark of conversions, on one small product."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.convert import line, measure
from vampnet_models.spec import IR_VERSION, OPSET


def small(path: Path) -> Path:
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 256]) for n in ("x", "y")]
    weight = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(
        nodes, "p", info[:1], info[1:], [numpy_helper.from_array(weight, "w")]
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    return path


def test_conversions_are_measured_in_their_own_processes(tmp_path: Path) -> None:
    source = small(tmp_path / "small.onnx")
    before = source.read_bytes()
    names = ["ours: int8-weights", "onnxruntime quantize_dynamic"]
    content = measure(source, tmp_path / "work", names, 1, tmp_path / "convert.json")
    assert json.loads((tmp_path / "convert.json").read_text())["models"]["small"] == content
    for name in names:
        (sample,) = content["converters"][name]
        assert sample["seconds"] > 0
        assert sample["peak_rss_bytes"] >= sample["imports_rss_bytes"] > 10e6
        assert 256 * 256 <= sample["written_bytes"] < 256 * 256 * 4
        assert " s  peak RSS " in line(name, [sample])
    assert source.read_bytes() == before
    assert not (tmp_path / "work" / "converted").exists()


def test_runs_add_up_and_another_model_starts_anew(tmp_path: Path) -> None:
    source, results = small(tmp_path / "small.onnx"), tmp_path / "convert.json"
    for _ in range(2):
        content = measure(source, tmp_path / "work", ["ours: fused"], 1, results)
    assert [sample["run"] for sample in content["converters"]["ours: fused"]] == [0, 1]
    assert [run["rounds"] for run in content["runs"]] == [1, 1]
    (tmp_path / "small.onnx.txt").write_text("more bytes under that name")
    assert len(measure(source, tmp_path / "work", ["ours: fused"], 1, results)["runs"]) == 1


def test_a_converter_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_text("not a model")
    content = measure(broken, tmp_path / "work", ["ours: fused"], 2, tmp_path / "out.json")
    (sample,) = content["converters"]["ours: fused"]
    assert "not a readable ONNX model" in sample["failed"]
    assert line("ours: fused", [sample]).split("failed: ")[1].startswith("vampnet_models")
