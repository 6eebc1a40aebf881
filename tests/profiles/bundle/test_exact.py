"""A model that asks for exact products is opened so by the bundle's own check, on any processor."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from profiles.bundle.make import write_bundle
from profiles.targets.order import find_target
from tests.profiles.bundle.test_make import FRAMES, part, selfcheck
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.exact import EXACT_KEY

WIDTH = 16


def product(path: Path, metadata: dict[str, str]) -> Path:
    """Sums of FRAMES products of 255 by 127, the largest that there are."""
    number = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["codes"], ["x"], to=TensorProto.UINT8),
        helper.make_node("MatMulInteger", ["x", "w"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["tokens"], to=TensorProto.INT64),
    ]
    weight = onnx.numpy_helper.from_array(np.full((FRAMES, WIDTH), 127, np.int8), "w")
    graph = helper.make_graph(
        nodes,
        "product",
        [number("codes", TensorProto.INT64, [1, 4, FRAMES])],
        [number("tokens", TensorProto.INT64, [1, 4, WIDTH])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("metadata", [{EXACT_KEY: "1"}, {}])
def test_the_largest_sums_are_those_of_the_manifest(
    metadata: dict[str, str], tmp_path: Path
) -> None:
    sums = np.full((1, 4, WIDTH), 255 * 127 * FRAMES)
    packed = replace(
        part(tmp_path),
        artifact=open_artifact(product(tmp_path / "coarse.onnx", metadata)),
        feeds={"codes": np.full((1, 4, FRAMES), 255)},
        references={"tokens": sums},
        variants={"tokens": sums},
    )
    out = tmp_path / "bundle"
    write_bundle([packed], out, target=find_target("cpu"), weights="x")
    (model,) = json.loads((out / "manifest.json").read_text())["models"]
    assert model["exact_products"] == bool(metadata)
    if metadata:
        code, found = selfcheck(out)
        assert (code, found["models"][0]["to_reference"]) == (0, 1.0)
