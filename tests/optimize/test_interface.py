"""Inputs and outputs of every graph are the source's, whatever a recipe does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optimize.build import build_variant
from optimize.interface import interface_of, keep, repeated_node_names
from optimize.recipes import find_recipe
from tests.optimize.graphs import Doing, model, normal
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session

LINEAR = "(float[n, 64] x) => (float[n, 64] y, float[n, 64] z) { y = MatMul(x, w) z = Neg(y) }"
BRANCH = """(float[n, 4] x, bool c) => (float[n, 4] y) {
 y = If (c) <then_branch = t () => (float[n, 4] p) { p = Relu(x) },
             else_branch = e () => (float[n, 4] q) { q = Neg(x) }> }"""


def test_declared_shapes_are_given_back_and_names_and_types_checked() -> None:
    made = model(LINEAR, w=normal(64, 64))
    source = interface_of(made)
    made.graph.inputs[0].shape = ir.Shape([3, 64])
    keep(made, source)
    assert str(made.graph.inputs[0].shape) == "[n,64]"
    made.graph.outputs[0].name = "other"
    with pytest.raises(PromiseMissed, match=r"outputs \['y', 'z'\] became \['other', 'z'\]"):
        keep(made, source)
    made.graph.outputs[0].name = "y"
    made.graph.outputs[0].dtype = ir.DataType.FLOAT16
    with pytest.raises(PromiseMissed, match="output y was FLOAT and became FLOAT16"):
        keep(made, source)
    keep(made, source, io=ir.DataType.FLOAT16)


def test_a_body_that_hands_out_another_graphs_value_is_refused() -> None:
    made = model(BRANCH)
    source = interface_of(made)
    keep(made, source)
    body = next(g for g in made.graphs() if g.name == "e")
    body.outputs.append(body.outputs[0])
    with pytest.raises(PromiseMissed, match=r"body e .* handed out 1 values, now 2"):
        keep(made, source)


def test_a_body_that_hands_out_another_type_is_refused() -> None:
    made = model(BRANCH)
    source = interface_of(made)
    body = next(g for g in made.graphs() if g.name == "e")
    body.outputs[0].dtype = ir.DataType.FLOAT16
    keep(made, source)
    body.outputs[0].dtype = ir.DataType.INT64
    with pytest.raises(PromiseMissed, match=r"body e .*: its output 0 was FLOAT and became INT64"):
        keep(made, source)


def test_a_type_that_got_lost_is_the_sources_again() -> None:
    made = model(LINEAR, w=normal(64, 64))
    source = interface_of(made)
    made.graph.outputs[0].type = None
    keep(made, source)
    assert made.graph.outputs[0].dtype == ir.DataType.FLOAT


def test_a_body_may_hand_out_a_constant_of_its_own(tmp_path: Path) -> None:
    # Folding leaves a branch with the one node that makes its output of nothing.
    folded = BRANCH.replace("q = Neg(x)", "q = Add(one, one)").replace(
        "float[n, 4] q", "float[1] q"
    )
    save_model(model(folded, one=np.ones(1, np.float32)), tmp_path / "m.onnx")
    made = build_variant(
        open_artifact(tmp_path / "m.onnx"), find_recipe("fused"), tmp_path / "out.onnx"
    )
    bodies = {g.name: g for g in load_model(made.path).graphs()}
    assert len(bodies["e"]) == len(bodies["e"].outputs) == 1
    feeds = {"x": normal(3, 4), "c": np.array(False)}
    assert open_session(made.path).run(feeds)["y"].tolist() == [2.0]


def test_a_recipe_that_swaps_outputs_makes_nothing(tmp_path: Path) -> None:
    save_model(model(LINEAR, w=normal(64, 64)), tmp_path / "m.onnx")

    def swap(made: ir.Model) -> None:
        made.graph.outputs.reverse()

    out = tmp_path / "out" / "m.onnx"
    with pytest.raises(PromiseMissed, match="outputs"):
        build_variant(
            open_artifact(tmp_path / "m.onnx"),
            replace(find_recipe("fused"), precision=Doing(swap)),
            out,
        )
    assert not out.exists()


def test_initializers_that_were_inputs_are_constants_and_that_is_said(tmp_path: Path) -> None:
    proto = ir.to_proto(model(LINEAR, w=normal(64, 64)))
    listed = onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [64, 64])
    proto.graph.input.append(listed)
    onnx.save(proto, tmp_path / "m.onnx")
    made = build_variant(
        open_artifact(tmp_path / "m.onnx"), find_recipe("int8-weights"), tmp_path / "o.onnx"
    )
    assert open_session(made.path).input_names == ("x",)
    assert made.record.warnings == (
        "1 initializers were listed as inputs and are constants now: w",
    )
    assert made.record.bytes < 0.6 * made.record.source.bytes


def test_repeated_node_names_are_made_unique_and_that_is_said(tmp_path: Path) -> None:
    twice = model(LINEAR, w=normal(64, 64))
    for node in twice.graph:
        node.name = "node"
    save_model(twice, tmp_path / "m.onnx")
    assert repeated_node_names(twice) == ["node"]
    made = build_variant(
        open_artifact(tmp_path / "m.onnx"), find_recipe("fused"), tmp_path / "o.onnx"
    )
    assert "were made unique: node" in made.record.warnings[0]
    assert repeated_node_names(load_model(made.path)) == []
    found = open_session(made.path).run({"x": np.ones((2, 64), np.float32)})
    np.testing.assert_allclose(found["z"], -found["y"])
    assert made.record.probe is not None
    assert "the source cannot be run" in str(made.record.probe.not_probed)
