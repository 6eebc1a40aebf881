import gzip
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optimize.precision.fp16.convert import Float16
from optimize.precision.fp16.keep import keeping
from tests.optimize.graphs import check, convert, model, normal, ops, run, snr_db
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model

TEXT = """(float[b, t, 32] x, int64[n] i) => (float[b, t, 32] y, float[n, 4] z) {
 h = MatMul(x, w) g = Gelu(h) y = Add(g, bias) z = Gather(table, i) }"""
WEIGHTS = {"w": normal(32, 32), "bias": normal(32), "table": normal(9, 4)}
FEEDS = {"x": normal(2, 5, 32), "i": np.array([1, 8, 1])}


def test_interfaces_stay_float32_and_the_middle_is_float16() -> None:
    expected = run(model(TEXT, **WEIGHTS), FEEDS)
    made = model(TEXT, **WEIGHTS)
    done = convert(made, Float16())
    assert done.precision == {"float16": 1}
    assert ops(made)["Cast"] == 3
    found = run(made, FEEDS)
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        assert snr_db(values, found[name]) > 55
    types = {value.dtype for value in made.graph.initializers.values()}
    assert types == {ir.DataType.FLOAT16}
    check(made)


def test_interfaces_can_be_float16_too() -> None:
    made = model(TEXT, **WEIGHTS)
    convert(made, Float16(keep_io=False))
    assert ops(made)["Cast"] == 0
    found = run(made, FEEDS | {"x": FEEDS["x"].astype(np.float16)})
    assert found["y"].dtype == np.float16
    check(made)


def test_one_cast_serves_every_reader() -> None:
    text = """(float[b, t, 32] x) => (float[b, t, 32] y, float[b, t, 32] z) {
     y = MatMul(x, w) z = MatMul(x, v) }"""
    made = model(text, w=normal(32, 32), v=normal(32, 32, seed=1))
    convert(made, Float16())
    assert ops(made)["Cast"] == 3


@pytest.mark.parametrize(
    ("value", "reason"), [(1e5, "reaches 1e+05, beyond float16's 65504"), (1e-12, "rounds to zero")]
)
def test_a_constant_that_float16_cannot_hold_keeps_its_node(value: float, reason: str) -> None:
    text = "(float[b, t, 32] x) => (float[b, t, 32] y) { n = Sigmoid(x) y = Mul(n, c) }"
    weights = {"c": np.float32(value)}
    feeds = {"x": normal(2, 5, 32)}
    expected = run(model(text, **weights), feeds)["y"]
    reasons = keeping(model(text, **weights).graph).reasons
    assert [(node.op_type, reason in found) for node, found in reasons.items()] == [("Mul", True)]
    made = model(text, **weights)
    convert(made, Float16())
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=2e-3)
    check(made)


def test_an_overflowing_weight_keeps_its_node_in_float32_and_says_so() -> None:
    weights = WEIGHTS | {"w": normal(32, 32) * np.float32(1e5)}
    expected = run(model(TEXT, **weights), FEEDS)["y"]
    made = model(TEXT, **weights)
    done = convert(made, Float16())
    assert done.precision["float32"] == 1
    assert "beyond float16" in done.float_nodes[0].reason
    assert np.isfinite(expected).all()


def test_the_squares_of_an_unfused_norm_do_not_overflow() -> None:
    text = """(float[b, t, 32] x) => (float[b, t, 32] y) {
     q = Mul(x, x) m = ReduceMean(q, axes) e = Add(m, eps) r = Sqrt(e) n = Div(x, r)
     y = Mul(n, w) }"""
    weights = {"axes": np.array([-1]), "eps": np.float32(1e-6), "w": normal(32)}
    feeds = {"x": 2000 * normal(2, 5, 32)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    done = convert(made, Float16())
    assert snr_db(expected, run(made, feeds)["y"]) > 55
    assert [node.op_type for node in done.float_nodes] == ["ReduceMean"]
    check(made)


def test_an_initializer_that_both_sides_read_gets_both_types() -> None:
    text = """(float[b, t, 32] x) => (float[b, t, 32] y, float[b, t, 32] z) {
     y = Mul(x, bias) z = Add(x, bias) }"""
    made = model(text, bias=normal(32))
    convert(made, Float16(keep_nodes=("add_1",)))
    read = {node.op_type: node.inputs[1] for node in made.graph if node.op_type != "Cast"}
    assert [read[op].dtype for op in ("Mul", "Add")] == [ir.DataType.FLOAT16, ir.DataType.FLOAT]
    check(made)


def test_an_unknown_node_to_keep_is_an_error() -> None:
    with pytest.raises(InputError, match="nowhere: no node of that name"):
        convert(model(TEXT, **WEIGHTS), Float16(keep_nodes=("nowhere",)))


def test_a_value_without_a_type_is_an_error() -> None:
    made = model("(float[b, 4] x) => (float[b, 4] y) { y = Neg(x) }")
    odd = ir.Node("somewhere.else", "Odd", [made.graph.inputs[0]], name="odd")
    odd.outputs[0].name = "untyped"
    made.graph.insert_before(made.graph[0], odd)
    made.graph.node(1).replace_input_with(0, odd.outputs[0])
    with pytest.raises(InputError, match="untyped: its type cannot be inferred"):
        convert(made, Float16())


PLAIN = """(float[b, 1, t] x) => (float[b, t, 24] y) {
 c = Conv<kernel_shape = [3], pads = [1, 1]>(x, k) s = Sin(c) r = Transpose<perm = [0, 2, 1]>(s)
 h = MatMul(r, w) a = Add(h, bias) p = Softmax<axis = -1>(a) y = MatMul(p, v) }"""


@pytest.mark.parametrize("depth", [1, 4])
def test_as_close_to_float32_as_onnxconverter_common(depth: int) -> None:
    """On graphs that it can do: no Div of two types, no contrib operators."""
    float16 = pytest.importorskip("onnxconverter_common.float16", reason="extra dev")
    weights = {"k": normal(32, 1, 3), "w": normal(32, 24) / 6, "bias": normal(24)}
    weights["v"] = normal(24, 24, seed=depth)
    feeds = {"x": normal(depth, 1, 200)}
    expected = run(model(PLAIN, **weights), feeds)["y"]
    made = model(PLAIN, **weights)
    convert(made, Float16())
    theirs = float16.convert_float_to_float16(
        ir.to_proto(model(PLAIN, **weights)), keep_io_types=True
    )
    ours_db = snr_db(expected, run(made, feeds)["y"])
    theirs_db = snr_db(expected, run(ir.from_proto(theirs), feeds)["y"])
    assert ours_db > 50
    assert ours_db > theirs_db - 3
    assert (expected.argmax(-1) == run(made, feeds)["y"].argmax(-1)).mean() > 0.99


def test_the_exported_encoder_keeps_the_tokens_that_onnxconverter_common_keeps(
    tmp_path: Path,
) -> None:
    float16 = pytest.importorskip("onnxconverter_common.float16", reason="extra dev")
    packed = Path(__file__).parents[3] / "fixtures" / "exported" / "encoder_dynamo.onnx.gz"
    path = tmp_path / "encoder.onnx"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    made = load_model(path)
    feeds = {"audio": 0.3 * normal(2, 1, 768 * 9)}
    expected = run(load_model(path), feeds)
    convert(made, Float16())
    with pytest.warns(UserWarning, match="truncated"):
        theirs = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True)
    other = run(ir.from_proto(theirs), feeds)
    for name, found in run(made, feeds).items():
        kept = (found == expected[name]).mean()
        assert kept >= (other[name] == expected[name]).mean() - 0.01
        assert kept > 0.95


@pytest.mark.parametrize(
    "nodes", ['y = Einsum <equation = "ntd,de->nte"> (x, w)', "y = Gather (w, i)", "y = Add (x, b)"]
)
def test_a_graph_without_products_is_converted_by_its_other_weights(nodes: str) -> None:
    text = f"(float[n, t, 32] x, int64[n] i) => (float[n, t, k] y) {{ {nodes} }}"
    name = "b" if "b)" in nodes else "w"
    if "Gather" in nodes:
        text = text.replace("[n, t, k]", "[n, k]")
    made = model(text, **{name: normal(32) if name == "b" else normal(32, 32)})
    feeds = {"x": normal(2, 3, 32), "i": np.array([1, 30])}
    expected = run(made, feeds)["y"]
    assert convert(made, Float16()).precision == {"float16": 1}
    assert made.graph.initializers[f"{name}.half"].dtype == ir.DataType.FLOAT16
    assert snr_db(expected, run(made, feeds)["y"]) > 55
