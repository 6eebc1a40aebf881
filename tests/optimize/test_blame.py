"""A graph that no runtime takes is the source's fault; any other unforeseen error is ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from optimize import build
from optimize.recipes import find_recipe
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact


def convolution(path: Path, *inputs: str) -> Artifact:
    weight = numpy_helper.from_array(np.ones((2, 2, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", list(inputs), ["y"], name="conv")],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 2, 8])],
        [helper.make_tensor_value_info("y", 1, [1, 2, 8])],
        [weight],
    )
    imports = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return open_artifact(path)


def test_a_graph_that_the_runtime_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    source = convolution(tmp_path / "m.onnx", "x")
    out = tmp_path / "out" / "m.onnx"
    with pytest.raises(InputError, match=r"m\.onnx: ONNX Runtime cannot load it: .*size 1 not in"):
        build.build_variant(source, find_recipe("fused"), out)
    assert not out.exists()


def test_our_own_fault_is_not_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError("ours")

    source = convolution(tmp_path / "m.onnx", "x", "w")
    monkeypatch.setattr(build, "fuse", failing)
    with pytest.raises(ZeroDivisionError, match="ours"):
        build.build_variant(source, find_recipe("fused"), tmp_path / "out.onnx")
