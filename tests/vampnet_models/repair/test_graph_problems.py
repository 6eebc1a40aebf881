"""What `inspect` finds wrong with a graph, and what it leaves in peace."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.tiny_graphs import product, tensor, write
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.repair import weights_survey
from vampnet_models.repair.inspection import inspect_model
from vampnet_models.repair.weights_survey import survey

X, Y = tensor("x", ["n", 4]), tensor("y", ["n", 4])


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def problems(path):
    return {p.kind: p for p in inspect_model(path).problems if p.kind != "unknown-role"}


def test_a_cycle_is_named_without_what_waits_for_it(tmp_path):
    nodes = [
        node("Relu", ["b"], ["a"], name="one"),
        node("Add", ["a", "x"], ["b"], name="two"),
        node("Relu", ["b"], ["y"], name="after"),
    ]
    found = problems(write(tmp_path / "m.onnx", nodes, [X], [Y]))
    assert found.keys() == {"cycle"}
    assert found["cycle"].fatal
    assert found["cycle"].text.startswith("one, two: ")


def test_an_order_that_the_runtime_mends_is_no_problem(tmp_path):
    nodes = [node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])]
    assert problems(write(tmp_path / "m.onnx", nodes, [X], [Y])) == {}


def test_values_from_nowhere_and_names_twice(tmp_path):
    lost = problems(write(tmp_path / "a.onnx", [node("Relu", ["z"], ["y"])], [X], [Y]))
    assert lost["dangling-values"].fatal
    assert lost["dangling-values"].text.startswith("z: ")
    gone = problems(write(tmp_path / "b.onnx", [node("Relu", ["x"], ["b"])], [X], [Y]))
    assert gone["dangling-values"].text.startswith("y: ")
    nodes = [node("Relu", ["x"], ["b"], name="same"), node("Abs", ["b"], ["y"], name="same")]
    twice = problems(write(tmp_path / "c.onnx", nodes, [X], [Y]))
    assert twice["duplicate-names"].fatal
    nodes = [node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]
    with pytest.raises(InputError, match=r"not a readable ONNX model .*'y'"):
        inspect_model(write(tmp_path / "d.onnx", nodes, [X], [Y]))


def body(name, nodes, output):
    return helper.make_graph(nodes, name, [], [tensor(output, None)])


def test_bodies_see_the_outer_graph_and_are_looked_into(tmp_path):
    good = body("good", [node("Relu", ["x"], ["t"])], "t")
    bad = body("bad", [node("Relu", ["nothing"], ["e"])], "e")
    condition = tensor("c", [], TensorProto.BOOL)
    for other, kinds in ((good, set()), (bad, {"dangling-values"})):
        nodes = [node("If", ["c"], ["y"], then_branch=good, else_branch=other)]
        path = write(tmp_path / "m.onnx", nodes, [X, condition], [tensor("y", None)])
        assert problems(path).keys() == kinds


def test_a_body_that_waits_for_its_own_node_is_a_cycle(tmp_path):
    inner = body("inner", [node("Relu", ["y"], ["t"])], "t")
    nodes = [node("If", ["c"], ["y"], then_branch=inner, else_branch=inner, name="if")]
    inputs = [X, tensor("c", [], TensorProto.BOOL)]
    found = problems(write(tmp_path / "m.onnx", nodes, inputs, [tensor("y", None)]))
    assert found["cycle"].text.startswith("if: ")


def beside(path, data_name):
    """Every constant, however small, in another file."""
    model = onnx.load(path)
    path.unlink()
    options = {"location": data_name, "size_threshold": 0}
    onnx.save(model, path, save_as_external_data=True, **options)


def test_constants_in_another_file_are_no_contradiction(tmp_path, small_models):
    for source in small_models.glob("*.onnx"):
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes())
        beside(path, f"{source.name}.data")
        assert problems(path).keys() == {"seeded-weights"}, source.name


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize(("rows", "declared"), [(5, ["n", 3]), (4, ["n", 9])])
def test_sizes_that_disagree(tmp_path, rows, declared, external):
    weight = np.ones((rows, 3), np.float32)
    nodes = [node("MatMul", ["x", "w"], ["y"], name="mm")]
    path = write(tmp_path / "m.onnx", nodes, [X], [tensor("y", declared)], {"w": weight})
    if external:
        beside(path, "w.data")
    found = problems(path)
    assert found.keys() == {"sizes-disagree"}
    assert found["sizes-disagree"].fatal
    assert "MatMul" in found["sizes-disagree"].text


def test_types_are_missed_only_where_nothing_tells_them(tmp_path):
    plain = [node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["y"])]
    assert problems(write(tmp_path / "a.onnx", plain, [X], [Y])) == {}
    gelu = [node("FastGelu", ["x"], ["a"], domain="com.microsoft"), node("Relu", ["a"], ["y"])]
    path = write(tmp_path / "b.onnx", gelu, [X], [Y], domains=["com.microsoft"])
    assert problems(path) == {}
    strange = [node("Magic", ["x"], ["a"], domain="acme"), node("Relu", ["a"], ["y"])]
    found = problems(write(tmp_path / "c.onnx", strange, [X], [Y], domains=["acme"]))
    assert found["custom-operators"].text.startswith("acme::Magic: ")
    assert not found["custom-operators"].fatal


def test_sparse_weights_come_from_somewhere(tmp_path):
    path = product(tmp_path / "m.onnx", width=4)
    model = onnx.load(path)
    dense = numpy_helper.to_array(model.graph.initializer[0])
    values = numpy_helper.from_array(dense.reshape(-1)[:2].copy(), "w")
    indices = numpy_helper.from_array(np.array([0, 1], np.int64), "w_indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 4]))
    del model.graph.initializer[:]
    onnx.save(model, path)
    assert "dangling-values" not in problems(path)


def with_weight(path, weight, op="MatMul"):
    nodes = [node(op, ["x", "w"], ["y"], name="n")]
    return write(path, nodes, [X], [tensor("y", None)], {"w": weight})


def test_nan_anywhere_and_infinity_where_it_multiplies(tmp_path):
    weight = np.full((4, 4), 0.5, np.float32)
    weight[1, 2] = np.nan
    for op in ("MatMul", "Add"):
        found = problems(with_weight(tmp_path / "m.onnx", weight, op))
        assert found["nan-weights"].text.startswith("NaN in w (1 of 16 values)")
        assert found["nan-weights"].fatal
    weight[1, 2] = -np.inf
    assert problems(with_weight(tmp_path / "m.onnx", weight))["infinite-weights"].fatal
    # A mask may be infinite: it is added.
    assert problems(with_weight(tmp_path / "m.onnx", weight, "Add")) == {}


def test_a_weight_is_followed_through_what_moves_it(tmp_path):
    weight = np.full((4, 4), np.inf, np.float32)
    nodes = [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [X], [tensor("y", None)], {"w": weight})
    assert "infinite-weights" in problems(path)


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16])
def test_a_weight_in_a_file_is_read_in_blocks(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(weights_survey, "_BLOCK_BYTES", 256)
    monkeypatch.setattr(weights_survey, "_SAMPLE_VALUES", 100)
    values = np.arange(1000, dtype=np.float32).reshape(10, 100) / 1000
    values[3, 7], values[9, 99], values[0, 0] = np.nan, np.inf, -np.inf
    model = load_model(product(tmp_path / "m.onnx"))
    stored = ir.tensor(values.astype(dtype.numpy()), name="w")
    model.graph.initializers["w"].const_value = stored
    save_model(model, tmp_path / "e.onnx", external=True)
    outside = load_model(tmp_path / "e.onnx").graph.initializers["w"].const_value
    assert isinstance(outside, ir.ExternalTensor)
    for tensor_ in (outside, stored):
        found = survey(tensor_, sampled=True)
        assert (found.n_nan, found.n_infinite, found.finite) == (1, 2, False)
        expected = values.astype(dtype.numpy()).reshape(-1)[::10].astype(np.float64)
        np.testing.assert_array_equal(found.sample, expected)


def test_integers_and_empty_weights_are_finite(tmp_path):
    for values in (np.array([1, 2]), np.zeros((0, 4), np.float32)):
        assert survey(ir.tensor(values), sampled=True).finite


@pytest.mark.parametrize(
    ("shape", "is_fixed"),
    [(["b", "t", 80], False), (["b", 80, "t"], False), (["b", 80, 100], True)],
)
def test_a_feature_width_is_no_length(tmp_path, shape, is_fixed):
    path = write(
        tmp_path / "m.onnx",
        [node("Relu", ["x"], ["y"])],
        [tensor("x", shape)],
        [tensor("y", shape)],
    )
    assert ("fixed-length" in problems(path)) == is_fixed


def test_a_signalling_nan_is_counted_without_a_warning():
    values = np.array([0x7F800001, 0x3F800000], np.uint32).view(np.float32)
    seen = survey(ir.Tensor(values, name="w"), sampled=True)
    assert (seen.n_nan, seen.finite) == (1, False)
