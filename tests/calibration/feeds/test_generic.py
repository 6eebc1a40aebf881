from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from calibration.feeds.checked import read_feeds
from calibration.feeds.feedset import load_feed_set
from calibration.feeds.generic import generic_feeds
from tests import tiny_graphs
from tests.calibration.whole_ranges import collect_ranges
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import IR_VERSION, OPSET

FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def value(name: str, dtype: ir.DataType, shape: list[int | str]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def write(path: Path, inputs: list[ir.Value], nodes: list[ir.Node], weights: dict) -> Path:
    initializers = [
        ir.Value(name=name, const_value=ir.tensor(array, name=name))
        for name, array in weights.items()
    ]
    by_name = {v.name: v for v in initializers}
    for node in nodes:
        for i, source in enumerate(node.inputs):
            if source is not None and source.name in by_name:
                node.replace_input_with(i, by_name[source.name])
    graph = ir.Graph(
        inputs,
        nodes[-1].outputs,
        nodes=nodes,
        initializers=initializers,
        opset_imports={"": OPSET},
        name="toy",
    )
    save_model(ir.Model(graph, ir_version=IR_VERSION), path)
    return path


def embedding(path: Path, rows: int) -> Path:
    """ids [batch, t] -> rows of a table, plus x [batch, t, 3]."""
    ids, x = value("ids", INT64, ["batch", "t"]), value("x", FLOAT, ["batch", "t", 3])
    gather = ir.node("Gather", [ir.Value(name="table"), ids], outputs=[ir.Value(name="g")])
    add = ir.node("Add", [gather.outputs[0], x], outputs=[value("y", FLOAT, ["batch", "t", 3])])
    return write(path, [ids, x], [gather, add], {"table": np.ones((rows, 3), np.float32)})


@pytest.mark.parametrize(("rows", "below"), [(2000, 1024), (300, 256), (2, 2)])
def test_integers_stay_within_what_the_model_accepts(tmp_path: Path, rows: int, below: int) -> None:
    path = embedding(tmp_path / "m.onnx", rows)
    session = open_session(path)
    found = generic_feeds(open_artifact(path).spec, session, 4)
    assert len(found.feeds) == 4
    for feed in found.feeds:
        assert feed["ids"].shape == (1, 16) and feed["x"].shape == (1, 16, 3)
        assert feed["ids"].max() < below
        session.run(feed)
    assert found.sha256 == generic_feeds(open_artifact(path).spec, session, 4).sha256
    assert "(--feeds FILE.npz)" in found.warnings[0]


def test_a_long_kernel_gets_a_long_input(tmp_path: Path) -> None:
    x = value("x", FLOAT, ["batch", 1, "t"])
    conv = ir.node("Conv", [x, ir.Value(name="w")], outputs=[value("y", FLOAT, ["batch", 1, "u"])])
    path = write(tmp_path / "m.onnx", [x], [conv], {"w": np.ones((1, 1, 500), np.float32)})
    found = generic_feeds(open_artifact(path).spec, open_session(path), 1)
    assert found.feeds[0]["x"].shape == (1, 1, 1024)


def test_a_model_that_runs_with_nothing_random(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    x = value("x", FLOAT, [1, "t"])
    node = ir.node("MatMul", [x, ir.Value(name="w")], outputs=[value("y", FLOAT, [1, 3])])
    path = write(tmp_path / "m.onnx", [x], [node], {"w": np.ones((7, 3), np.float32)})
    with pytest.raises(InputError, match=r"give --feeds FILE\.npz"):
        generic_feeds(open_artifact(path).spec, open_session(path), 1)
    assert not capfd.readouterr().err


def feeds_for(path: Path, n: int = 2):
    artifact = open_artifact(path)
    return generic_feeds(artifact.spec, open_session(path), n)


def test_scalars_booleans_and_strings_are_drawn(tmp_path: Path) -> None:
    inputs = [
        tiny_graphs.tensor("flag", [], TensorProto.BOOL),
        tiny_graphs.tensor("k", [], TensorProto.INT32),
        tiny_graphs.tensor("words", ["n"], TensorProto.STRING),
    ]
    nodes = [helper.make_node("Identity", [i.name], [f"{i.name}_out"]) for i in inputs]
    outputs = [
        tiny_graphs.tensor("flag_out", [], TensorProto.BOOL),
        tiny_graphs.tensor("k_out", [], TensorProto.INT32),
        tiny_graphs.tensor("words_out", ["n"], TensorProto.STRING),
    ]
    path = tiny_graphs.write(tmp_path / "m.onnx", nodes, inputs, outputs)
    found = feeds_for(path)
    answers = open_session(path).run(found.feeds[0])
    assert found.feeds[0].keys() == {"flag", "k", "words"}
    for name, values in found.feeds[0].items():
        assert (answers[f"{name}_out"] == values).all()
    found.save_npz(tmp_path / "f.npz")
    assert load_feed_set(tmp_path / "f.npz").sha256 == found.sha256
    assert read_feeds(tmp_path / "f.npz", open_artifact(path).spec).sha256 == found.sha256


@pytest.mark.parametrize(
    ("kind", "match"),
    [("sequence", "is a sequence of float32"), ("unranked", "give it as feeds")],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(tmp_path: Path, kind: str, match: str) -> None:
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    x = tiny_graphs.tensor("x", None)
    if kind == "sequence":
        x = helper.make_value_info("x", helper.make_sequence_type_proto(element))
    node = helper.make_node("SequenceLength" if kind == "sequence" else "Size", ["x"], ["y"])
    outputs = [tiny_graphs.tensor("y", [], TensorProto.INT64)]
    path = tiny_graphs.write(tmp_path / "m.onnx", [node], [x], outputs)
    with pytest.raises(InputError, match=match):
        feeds_for(path)


def test_an_input_of_unknown_rank_is_taken_from_the_user(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    unknown = [tiny_graphs.tensor(name, None) for name in ("x", "y")]
    path = tiny_graphs.write(tmp_path / "m.onnx", [node], unknown[:1], unknown[1:])
    np.savez(tmp_path / "f.npz", **{"x/0": np.ones((2, 3), "f4"), "x/1": np.ones((), "f4")})
    found = read_feeds(tmp_path / "f.npz", open_artifact(path).spec)
    assert [feed["x"].shape for feed in found.feeds] == [(2, 3), ()]


def test_many_free_axes_are_no_gigabytes(tmp_path: Path) -> None:
    """The second input fits one size alone, so that all would be tried."""
    inputs = [tiny_graphs.tensor("x", ["b", "h", "w", "d"]), tiny_graphs.tensor("z", [3])]
    node = helper.make_node("Add", ["x", "z"], ["y"])
    outputs = [tiny_graphs.tensor("y", None)]
    path = tiny_graphs.write(tmp_path / "m.onnx", [node], inputs, outputs)
    with pytest.raises(InputError, match="runs with no random input"):
        feeds_for(path)


def test_one_name_is_one_size(tmp_path: Path) -> None:
    inputs = [tiny_graphs.tensor("x", ["n", 4]), tiny_graphs.tensor("z", [4, "n"])]
    node = helper.make_node("MatMul", ["z", "x"], ["y"])
    outputs = [tiny_graphs.tensor("y", [4, 4])]
    found = feeds_for(tiny_graphs.write(tmp_path / "m.onnx", [node], inputs, outputs))
    assert [v.shape for v in found.feeds[0].values()] == [(1, 4), (4, 1)]


def test_a_model_without_inputs_is_fed_with_nothing(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["w"], ["y"])
    weights = {"w": np.ones(3, np.float32)}
    path = tiny_graphs.write(
        tmp_path / "m.onnx", [node], [], [tiny_graphs.tensor("y", [3])], weights
    )
    found = feeds_for(path)
    assert found.feeds == ({},)
    found.save_npz(tmp_path / "f.npz")
    assert load_feed_set(tmp_path / "f.npz").feeds == ({},)
    np.savez(tmp_path / "empty.npz")
    assert read_feeds(tmp_path / "empty.npz", open_artifact(path).spec).feeds == ({},)


def test_an_empty_tensor_has_no_range_of_its_own(tmp_path: Path) -> None:
    node = helper.make_node("Concat", ["past", "x"], ["y"], axis=0)
    inputs = [tiny_graphs.tensor("past", ["p", 2]), tiny_graphs.tensor("x", ["n", 2])]
    path = tiny_graphs.write(tmp_path / "m.onnx", [node], inputs, [tiny_graphs.tensor("y", None)])
    x = np.array([[-1, 3]], np.float32)
    feeds = [{"past": np.zeros((0, 2), np.float32), "x": x}, {"past": 2 * x, "x": x}]
    found = collect_ranges(path, feeds, ["past", "y"])
    assert (found["past"].low, found["past"].high) == (-2, 6)
    found = collect_ranges(path, feeds[:1], ["past", "y"], "mse")
    assert (found["past"].low, found["past"].high) == (0, 0)
    assert found["y"].high > 2
