"""A raised opset changes no answer, in any graph; what cannot be raised says why."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.repair.opset import raise_opset, without_kernel
from vampnet_models.repair.opset_adapters import CannotRaise

TARGET = 21
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 6)).astype(np.float32)
IMAGE = RNG.standard_normal((1, 4, 6, 6)).astype(np.float32)


def old(text: str, opset: int, ir_version: int = 8, **weights: Any) -> ir.Model:
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}, "com.microsoft" : 1]> g '
    proto = onnx.parser.parse_model(header + text)
    for name, values in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return ir.from_proto(proto)


def answers(made: ir.Model, x: np.ndarray) -> list[np.ndarray]:
    session = open_session(ir.to_proto(made).SerializeToString())
    return list(session.run({"x": x}).values())


NODES = {
    "softmax of the rest": (11, "y = Softmax <axis = 1> (x)", X),
    "softmax of the last": (11, "y = Softmax <axis = 2> (x)", X),
    "softmax by default": (11, "y = Softmax(x)", X),
    "logsoftmax, negative": (11, "y = LogSoftmax <axis = -2> (x)", X),
    "hardmax": (11, "y = Hardmax <axis = 0> (x)", X),
    "slice": (9, "y = Slice <starts = [1], ends = [3], axes = [1]> (x)", X),
    "slice of all axes": (9, "y = Slice <starts = [0, 1], ends = [2, 4]> (x)", X),
    "top k": (9, "y, i = TopK <k = 2, axis = 1> (x)", X),
    "clip": (10, "y = Clip <min = -0.5, max = 0.25> (x)", X),
    "clip from above": (10, "y = Clip <max = 0.25> (x)", X),
    "pad": (10, "y = Pad <pads = [0, 1, 0, 0, 2, 0], value = 3.0> (x)", X),
    "reflected pad": (10, 'y = Pad <mode = "reflect", pads = [0, 1, 0, 0, 2, 0]> (x)', X),
    "upsample": (
        9,
        "s = Constant <value = float[4] {1., 1., 2., 1.5}> () y = Upsample(x, s)",
        IMAGE,
    ),
    "upsample by an attribute": (
        8,
        'y = Upsample <mode = "linear", scales = [1.0, 1.0, 2.0, 1.5]> (x)',
        IMAGE,
    ),
    "resize": (10, "s = Constant <value = float[4] {1., 1., 1.7, 0.5}> () y = Resize(x, s)", IMAGE),
    "batch normalization": (8, "y = BatchNormalization <spatial = 1> (x, a, b, c, d)", IMAGE),
    "dropout": (10, "y = Dropout <ratio = 0.3> (x)", X),
    "split": (11, "y, z, v = Split <axis = 1, split = [1, 2, 1]> (x)", X),
    "equal split": (13, "y, z = Split <axis = 1> (x)", X),
    "unsqueeze": (11, "y = Unsqueeze <axes = [0, 2]> (x)", X),
    "squeeze": (11, "u = Unsqueeze <axes = [1]> (x) y = Squeeze <axes = [1]> (u)", X),
    "reduce sum": (11, "y = ReduceSum <axes = [1, -1], keepdims = 0> (x)", X),
    "reduce mean": (13, "y = ReduceMean <axes = [1]> (x)", X),
    "reduce all": (17, "y = ReduceL2 <keepdims = 0> (x)", X),
    "reduce logsumexp": (17, "y = ReduceLogSumExp <axes = [2]> (x)", X),
    "scatter": (10, "y = Scatter <axis = 1> (x, places, x2)", X),
    "grid sample": (16, "y = GridSample(x, grid)", IMAGE),
    "cubic grid sample": (16, 'y = GridSample <mode = "bicubic"> (x, grid)', IMAGE),
    "roi align": (
        10,
        "y = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2> (x, rois, batch)",
        IMAGE,
    ),
    "dft": (19, "f = Unsqueeze(x, last) y = DFT <axis = 2> (f)", X),
    "dft by default": (17, "f = Unsqueeze(x, last) y = DFT(f)", X),
    "group normalization": (18, "y = GroupNormalization <num_groups = 2> (x, s2, b2)", IMAGE),
    "group of one": (18, "y = GroupNormalization <num_groups = 4> (x, a, b)", IMAGE),
}
WEIGHTS = {
    "places": np.array([[[0] * 6, [2] * 6]] * 2),
    "x2": RNG.standard_normal((2, 2, 6)).astype(np.float32),
    "grid": RNG.uniform(-1.2, 1.2, (1, 3, 5, 2)).astype(np.float32),
    "rois": np.array([[0, 0, 3, 4]], np.float32),
    "batch": np.array([0]),
    "last": np.array([-1]),
    "s2": np.array([0.5, 2], np.float32),
    "b2": np.array([1, -1], np.float32),
    **{name: RNG.uniform(0.5, 2, 4).astype(np.float32) for name in "abcd"},
}


@pytest.mark.parametrize("name", NODES)
def test_raising_changes_no_answer(name: str) -> None:
    opset, nodes, x = NODES[name]
    shape = ", ".join(map(str, x.shape))
    text = f"(float[{shape}] x) => (float y) {{ {nodes} }}"
    given = {n: v for n, v in WEIGHTS.items() if f"{n}," in nodes or f"{n})" in nodes}
    # ONNX Runtime runs GroupNormalization 18 wrongly: what it means stands in the formula.
    before = old(text, opset, **given)
    expected = [grouped(x, given)] if opset == 18 else answers(before, x)
    raise_opset(before, TARGET)
    assert before.graph.opset_imports[""] == TARGET and before.ir_version == 10
    for found, wanted in zip(answers(before, x), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def grouped(x: np.ndarray, given: dict[str, np.ndarray]) -> np.ndarray:
    scale, bias = given.values()
    groups = x.reshape(1, len(scale), -1)
    mean, deviation = groups.mean(2, keepdims=True), groups.std(2, keepdims=True)
    normal = ((groups - mean) / np.sqrt(deviation**2 + 1e-5)).reshape(x.shape)
    repeats = x.shape[1] // len(scale)
    wide = [np.repeat(each, repeats).reshape(1, -1, 1, 1) for each in (scale, bias)]
    return np.asarray(normal * wide[0] + wide[1], np.float32)


def test_bodies_are_raised_too() -> None:
    text = """(float[2, 4, 6] x) => (float y) { n = Constant <value = int64 {2}> ()
     t = Constant <value = bool {1}> () y = Loop (n, t, x) <body = b
      (int64 i, bool c, float[2, 4, 6] v) => (bool go, float[2, 4, 6] out) {
       go = Identity(c) s = Softmax <axis = 1> (v) m = ReduceMean <axes = [2]> (s)
       out = Sub(s, m) }> }"""
    made = old(text, 11)
    expected = answers(made, X)
    raise_opset(made, TARGET)
    np.testing.assert_allclose(answers(made, X)[0], expected[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("opset", "nodes", "reason"),
    [
        (8, "y = BatchNormalization <spatial = 0> (x, a, b, c, d)", "spatial = 0"),
        (
            11,
            'y = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, e, f)',
            "tf_h",
        ),
        (9, "y, m = Dropout(x)", "its mask is read"),
        (12, "y = Squeeze <axes = [0], odd = 1> (x)", "knows no odd"),
    ],
)
def test_what_cannot_be_raised_says_why(opset: int, nodes: str, reason: str) -> None:
    outputs = "float y, float m" if "m =" in nodes else "float y"
    made = old(f"(float[1, 4, 6, 6] x) => ({outputs}) {{ {nodes} }}", opset)
    with pytest.raises(CannotRaise, match=reason):
        raise_opset(made, TARGET)


def test_operators_that_onnx_does_not_know_stay() -> None:
    text = """(float[2, 4, 6] x) => (float y) { s = SimplifiedLayerNormalization <axis = -1> (x, g)
     h = com.microsoft.Gelu(s) y = Clip <min = 0.0> (h) }"""
    made = old(text, 10, g=np.ones(6, np.float32))
    expected = answers(made, X)
    raise_opset(made, TARGET)
    np.testing.assert_allclose(answers(made, X)[0], expected[0], rtol=1e-5)


def test_a_function_of_another_opset_is_raised_with_its_model() -> None:
    function = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("ReduceMean", ["a"], ["b"], axes=[1])],
        [helper.make_opsetid("", 13)],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("F", ["x"], ["y"], domain="own")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    proto = helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=8)
    made = ir.from_proto(proto)
    raise_opset(made, TARGET)
    assert not made.functions
    np.testing.assert_allclose(answers(made, X)[0], X.mean(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("op_type", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_kernels_that_a_newer_opset_lacks_are_known(op_type: str) -> None:
    made = old(f"(float[2, 4, 6] x) => (float y) {{ y = {op_type}(x) }}", TARGET)
    assert without_kernel(made, 23) == [op_type]
    assert without_kernel(made, TARGET) == []


def test_the_default_domain_by_its_full_name_and_sparse_constants(tmp_path: Path) -> None:
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [5.0, 7.0])
    places = helper.make_tensor("p", TensorProto.INT64, [2], [1, 6])
    sparse = helper.make_sparse_tensor(values, places, [4, 2])
    pairs = helper.make_tensor("p", TensorProto.INT64, [2, 2], [0, 1, 3, 0])
    constant = helper.make_sparse_tensor(values, pairs, [4, 2])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], domain="ai.onnx"),
        helper.make_node("Constant", [], ["c"], sparse_value=constant),
        helper.make_node("MatMul", ["x", "c"], ["k"]),
        helper.make_node("Sub", ["h", "k"], ["y"], domain="ai.onnx"),
    ]
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", 4), ("y", 2))
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], sparse_initializer=[sparse])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx", 17)])
    proto.ir_version = 10
    onnx.save(proto, tmp_path / "m.onnx")
    made = load_model(tmp_path / "m.onnx")
    assert {node.domain for node in made.graph} == {""} and made.graph.opset_imports == {"": 17}
    x = np.float32([[1, 2, 3, 4]])
    np.testing.assert_array_equal(answers(made, x)[0], [[0, 0]])
    assert made.graph.initializers["w"].const_value.numpy()[3, 0] == 7
    proto.opset_import.append(helper.make_opsetid("", 18))
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"versions \[17, 18\] at once"):
        load_model(tmp_path / "m.onnx")


def test_a_sparse_constant_that_would_be_huge_is_refused(tmp_path: Path) -> None:
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [5.0])
    places = helper.make_tensor("p", TensorProto.INT64, [1], [1])
    sparse = helper.make_sparse_tensor(values, places, [10**6, 10**6])
    graph = helper.make_graph(
        [helper.make_node("Shape", ["w"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2])],
        sparse_initializer=[sparse],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="dense form of 4,000,000,000,000 bytes"):
        load_model(tmp_path / "m.onnx")
