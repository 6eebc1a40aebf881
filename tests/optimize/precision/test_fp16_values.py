"""Values that float16 cannot hold, and numbers that must stay exact, in float16 arithmetic.

`Float16(emulated=True)` rounds every result that the converted model would hold in float16.
"""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optimize.precision.fp16.convert import Float16
from optimize.precision.fp16.forms import half_form
from optimize.surgery.graph import Array, infer_shapes
from tests.optimize.graphs import check, convert, model, normal, run, snr_db

F = np.float32
X = normal(4, 32)
W, V = normal(32, 32) / 6, normal(32, 32, seed=1) / 6
ROWS = np.array([[0] * 32, [1] * 32, [1] * 16 + [0] * 16, [0] * 31 + [1]])
IO = "(float[b, 32] x) => (float[b, 32] y)"
MASKED = "(float[b, 32] x, bool[b, 32] m) => (float[b, 32] y)"
COUNTED = "(float[b, 32] x, int64[b, 32] m) => (float[b, 32] y)"

MASKS = {
    "fill": (MASKED, "s = MatMul(x, w) q = Where(m, s, c) p = Softmax(q) y = MatMul(p, v)", -1e9),
    "moved fill": (
        MASKED,
        "s = MatMul(x, w) q = Where(m, s, c) k = Mul(q, h) p = Softmax(k) y = MatMul(p, v)",
        -3.4e38,
    ),
    "bias": (
        COUNTED,
        """s = MatMul(x, w) k = Cast<to = 1>(m) i = Sub(o, k) b = Mul(i, c) q = Add(s, b)
        p = Softmax(q) y = MatMul(p, v)""",
        -3.4e38,
    ),
    "infinite": (
        MASKED,
        """s = MatMul(x, w) q = Where(m, s, c) p = Softmax(q) n = IsNaN(p) z = Sub(o, o)
        k = Where(n, z, p) y = MatMul(k, v)""",
        -np.inf,
    ),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_leave_fully_masked_rows_as_they_are(kind: str) -> None:
    interface, nodes, fill = MASKS[kind]
    m = ROWS if interface is COUNTED else ROWS.astype(bool)
    weights = {"w": W, "v": V, "c": F(fill), "h": F(0.5), "o": F(1)}
    _compare(f"{interface} {{ {nodes} }}", {"x": X, "m": m}, weights)


def test_a_fill_that_only_softmax_sees_costs_no_float32() -> None:
    interface, nodes, fill = MASKS["fill"]
    made = model(f"{interface} {{ {nodes} }}", w=W, v=V, c=F(fill))
    assert convert(made, Float16()).float_nodes == ()


SQUARES = """t = Mul(x, k) a = MatMul(t, w) b = MatMul(t, v) c = Mul(a, a) d = Mul(b, b)
 e = Add(c, d) y = Sqrt(e)"""
BANK = {"mel": np.abs(V)}
VALUES = {
    "mask of a shape": (
        """k = Shape(x) b = ConstantOfShape<value = float[1] {-1e9}>(k) z = Add(x, b)
        y = Softmax(z)""",
        {},
    ),
    "zeros of a shape": ("h = MatMul(x, w) k = Shape(h) b = ConstantOfShape(k) y = Add(h, b)", {}),
    "scale": ("h = MatMul(x, w) u = Mul(h, k) d = Div(u, k) y = MatMul(d, v)", {"k": F(1e9)}),
    "bounds": (
        "h = MatMul(x, w) c = Clip(h, lo, hi) y = MatMul(c, v)",
        {"lo": F(-3.4e38), "hi": F(3.4e38)},
    ),
    "attribute": ("h = MatMul(x, w) y = LeakyRelu<alpha = 1e-9>(h)", {}),
    "epsilon": ("h = MatMul(x, w) t = Sub(h, h) e = Add(t, k) y = Div(h, e)", {"k": F(1e-8)}),
    "log of squares": (
        "t = Mul(x, k) q = Mul(t, t) m = MatMul(q, mel) e = Add(m, i) y = Log(e)",
        {**BANK, "k": F(1e-4), "i": F(1e-10)},
    ),
    "log of magnitudes": (
        "t = Mul(x, k) a = Abs(t) m = MatMul(a, mel) c = Clip(m, i) y = Log(c)",
        {**BANK, "k": F(1e-5), "i": F(1e-7)},
    ),
    "log of probabilities": ("t = Mul(x, k) p = Softmax(t) y = Log(p)", {"k": F(20)}),
    "magnitude, quiet": (SQUARES, {"k": F(1e-3)}),
    "magnitude, loud": (SQUARES, {"k": F(900)}),
    "norm of silence": (
        """t = Sub(x, x) q = Mul(t, t) s = ReduceSum(q, a) n = Sqrt(s) m = Max(n, i)
        d = Div(t, m) y = Add(d, x)""",
        {"a": np.array([-1]), "i": F(1e-12)},
    ),
    "double": (
        "d = Cast<to = 11>(x) q = Mul(d, k) c = Cast<to = 1>(q) y = MatMul(c, w)",
        {"k": np.float64(1e-3)},
    ),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_beyond_float16_keep_their_arithmetic(kind: str) -> None:
    nodes, weights = VALUES[kind]
    _compare(f"{IO} {{ {nodes} }}", {"x": X}, {"w": W, "v": V, **weights})


POSITIONS = {
    "angles": (
        "(int64[n] p) => (float[n, 16] y)",
        "f = Cast<to = 1>(p) u = Unsqueeze(f, a) e = Exp(k) r = Mul(u, e) y = Cos(r)",
        {"p": np.arange(4000, 4100)},
    ),
    "outer product": (
        "(int64[n] p) => (float[n, 16] y)",
        "f = Cast<to = 1>(p) u = Unsqueeze(f, a) r = MatMul(u, k) y = Sin(r)",
        {"p": np.arange(70000, 70100)},
    ),
    "float range": (
        "(float e) => (float[n] y)",
        "z = Sub(e, e) r = Range(z, e, half) q = Mul(r, half) y = Sin(q)",
        {"e": np.array(3000, F)},
    ),
    "division by lengths": (
        "(float[b, 32] x, int64[b, 1] l) => (float[b, 32] y)",
        "h = MatMul(x, w) f = Cast<to = 1>(l) d = Div(h, f) y = Mul(d, f)",
        {"x": X, "l": np.array([[100000], [441000], [3], [1]])},
    ),
    "sixteen bits of audio": (
        "(int16[b, 32] x) => (float[b, 32] y)",
        "f = Cast<to = 1>(x) s = Div(f, half) d = Div(s, g) y = MatMul(d, w)",
        {"x": (X * 8000).astype(np.int16)},
    ),
    "time steps in seconds": (
        "(float[b] t) => (float[b, 32] y)",
        """m = Mul(t, thousand) u = Unsqueeze(m, a) e = Exp(k) r = Mul(u, e) p = Sin(r) q = Sin(r)
        c = Concat<axis = 1>(p, q) y = MatMul(c, w)""",
        {"t": np.array([0.1234, 0.98, 3.1], F)},
    ),
    "time steps in thousands": (
        "(float[b] t) => (float[b, 32] y)",
        """u = Unsqueeze(t, a) e = Exp(k) r = MatMul(u, e) p = Sin(r) q = Cos(r)
        c = Concat<axis = 1>(p, q) y = MatMul(c, w)""",
        {"t": np.array([12.34, 991, 7], F)},
    ),
    "numbers in text": (
        "(float[b, 32] x, string[b, 1] s) => (float[b, 32] y)",
        "h = MatMul(x, w) f = Cast<to = 1>(s) d = Div(h, f) y = Mul(d, f)",
        {"x": X, "s": np.array([["1e6"], ["-441000"], ["3"], ["1"]])},
    ),
    "float indices": (
        "(float[b, 32] x, float[b] i) => (float[b, 32] y)",
        "h = MatMul(x, w) d = Add(one, n) o = OneHot(i, d, v01) y = Add(h, o)",
        {"x": X, "i": np.array([1, 2, 3, 31], F)},
    ),
}
NUMBERS = {
    "a": np.array([1]),
    "k": (-np.arange(16) / 4).astype(F)[None],
    "half": F(0.5),
    "thousand": F(1000),
    "g": F(32768),
    "one": F(1),
    "n": F(31),
    "v01": np.array([0, 1], F),
}


@pytest.mark.parametrize("kind", POSITIONS)
def test_numbers_made_of_integers_stay_exact(kind: str) -> None:
    interface, nodes, feeds = POSITIONS[kind]
    _compare(f"{interface} {{ {nodes} }}", feeds, {"w": W, **NUMBERS})


def test_what_decides_a_length_is_float32_up_to_the_inputs() -> None:
    text = """(float[b, 32] x) => (float[m, 32] y, int64[m] i) {
     h = MatMul(x, w) d = MatMul(h, n) e = Exp(d) c = Ceil(e) s = ReduceSum<keepdims = 0>(c)
     g = Cast<to = 7>(s) r = Range(z, g, o) f = Cast<to = 1>(r) q = Div(f, hop) l = Floor(q)
     k = Cast<to = 7>(l) i = Mod(k, four) t = Gather(h, i) y = MatMul(t, w) }"""
    weights = {"w": W, "n": normal(32, 1), "z": np.int64(0), "o": np.int64(1), "hop": F(3.7)}
    made = model(text, **weights, four=np.int64(4))
    reasons = {n.op_type: n.reason for n in convert(made, Float16()).float_nodes}
    assert reasons["Ceil"] == "leads to a length: rounding would change the shape"
    _compare(text, {"x": X}, {**weights, "four": np.int64(4)})


def test_rounding_to_levels_is_float32_up_to_the_weights() -> None:
    text = """(float[b, 32] x) => (float[b, 32] y, int64[b, 32] k) {
     h = MatMul(x, w) t = Tanh(h) s = Mul(t, l) r = Round(s) k = Cast<to = 7>(r) y = Div(r, l) }"""
    made = model(text, w=W, l=F(7))
    done = convert(made, Float16())
    assert [n.op_type for n in done.float_nodes] == ["Tanh", "Mul", "Round"]
    assert done.precision == {"float16": 1}


def test_scales_of_resize_stay_float32_and_the_rest_does_not() -> None:
    text = """(float[1, 4, t] x) => (float[1, 4, u] y) {
     h = Conv(x, k) r = Resize<mode = "linear">(h, , s) y = Conv(r, k) }"""
    weights = {"k": normal(4, 4, 3) / 3, "s": np.array([1, 1, 1.7], F)}
    made = model(text, **weights)
    done = convert(made, Float16())
    assert done.float_nodes == ()
    feeds = {"x": normal(1, 4, 50)}
    assert snr_db(run(model(text, **weights), feeds)["y"], run(made, feeds)["y"]) > 55


@pytest.mark.parametrize("op_type", ["Celu", "MeanVarianceNormalization", "RandomNormalLike"])
def test_operators_without_a_float16_kernel_stay_and_are_named(op_type: str) -> None:
    text = f"{IO} {{ h = MatMul(x, w) o = {op_type}(h) y = MatMul(o, v) }}"
    made = model(text, w=W, v=V)
    done = convert(made, Float16())
    assert [n.op_type for n in done.float_nodes] == [op_type]
    assert "float16" in done.float_nodes[0].reason
    assert run(made, {"x": X})["y"].shape == (4, 32)


def test_infinities_and_nan_are_float16_numbers() -> None:
    text = f"{IO} {{ y = Add(x, k) }}"
    k = np.where(np.arange(32) % 3, F(1), F(np.inf)) * np.where(np.arange(32) % 2, F(1), F(-1))
    k[5] = np.nan
    made = model(text, k=k.astype(F))
    assert convert(made, Float16()).float_nodes == ()
    np.testing.assert_allclose(run(made, {"x": X})["y"], X + k, atol=2e-3)


def _compare(text: str, feeds: dict[str, Array], weights: dict[str, Array]) -> None:
    """Equal shapes, the same finite values, and close, converted and in float16 arithmetic."""
    expected = run(model(text, **weights), feeds)
    for precision in (Float16(), Float16(emulated=True)):
        made = model(text, **weights)
        convert(made, precision)
        check(made)
        for name, found in run(made, feeds).items():
            assert found.shape == expected[name].shape
            np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected[name]))
            assert snr_db(expected[name], found) > 50


@pytest.mark.parametrize(("perm", "stays"), [("1, 0, 2", True), ("0, 2, 1", False)])
def test_a_transposed_batch_stays_where_the_runtime_would_not_survive(
    perm: str, stays: bool
) -> None:
    rank_3 = "(float[3, b, 32] x) => (float[p, q, r] y)"
    body = f"t = Transpose<perm = [{perm}]>(x) y = MatMul(t, w)"
    feeds, wide = {"x": normal(3, 32, 32)}, normal(32, 32) / 6
    source = model(f"{rank_3} {{ {body} }}", w=wide)
    expected = run(source, feeds)
    found = convert(source, Float16()).float_nodes
    assert [node.op_type for node in found] == (["Transpose"] if stays else [])
    assert snr_db(expected["y"], run(source, feeds)["y"]) > 50


KEPT = {
    "y = BitCast<to = 6>(x) z = Cast<to = 1>(y)": "it reads the bits of float32",
    "u = Unsqueeze(x, at) o, k, v, s = Attention(u, u, u) z = Squeeze(s, at)": (
        "it hands out its scores, which a mask takes beyond float16"
    ),
    'z = ScatterElements<axis = 1, reduction = "add">(x, zeros, x)': (
        "the runtime has no float16 kernel for it"
    ),
}


@pytest.mark.parametrize("nodes", KEPT)
def test_what_float16_would_break_stays_with_the_reason(nodes: str) -> None:
    zeros = np.zeros((4, 32), np.int64)
    made = model(f"(float[b, 32] x) => (float[n, m] z) {{ {nodes} }}", zeros=zeros, at=ROWS[0, :1])
    made.graph.opset_imports[""] = 26
    infer_shapes(made)
    assert KEPT[nodes] in [half_form(node, made.graph) for node in made.graph]


def test_what_attributes_of_a_tree_give_is_not_made_float16() -> None:
    encode = "LabelEncoder <keys_int64s = [1, 2], values_floats = [-70000.0, 3.0]>"
    proto = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 21, "ai.onnx.ml" : 2]>
        g (float[b, 1] x, int64[b, 1] i) => (float[b, 2] y) {{
         e = ai.onnx.ml.{encode} (i) s = Mul (x, k) y = Concat <axis = 1> (s, e) }}""")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2], F), "k"))
    feeds = {"x": normal(3, 1), "i": np.array([[1], [2], [1]])}
    made = ir.from_proto(proto)
    expected = run(made, feeds)["y"]
    convert(made, Float16())
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=2e-3)
