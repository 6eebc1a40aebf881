"""Other spellings of the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.onnxfile.session import open_session


def written(folder: Path, domain: str, op_type: str) -> Path:
    """One operator of a domain that the model does not import, in the branch of an If."""
    y = helper.make_tensor_value_info("b", TensorProto.FLOAT, [2, 4])
    body = [helper.make_node(op_type, ["x"], ["b"], domain=domain)]
    branches = [helper.make_graph(body, name, [], [y]) for name in ("then", "else")]
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    graph = helper.make_graph(
        [choice],
        "g",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize(
    ("domain", "op_type"), [("com.microsoft", "FastGelu"), ("ai.onnx.ml", "Normalizer")]
)
def test_the_runtimes_domains_need_no_import(tmp_path: Path, domain: str, op_type: str) -> None:
    path = written(tmp_path, domain, op_type)
    feeds = {"c": np.array(True), "x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}
    before = open_session(path).run(feeds)["y"]
    model = load_model(path)
    assert domain in model.opset_imports
    save_model(model, tmp_path / "again.onnx")
    np.testing.assert_array_equal(open_session(tmp_path / "again.onnx").run(feeds)["y"], before)


def test_another_domain_does(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is of 'com\.other', of which the model names no opset"):
        load_model(written(tmp_path, "com.other", "Bar"))
