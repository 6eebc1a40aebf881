"""A scale per row: exact in real numbers, and of use where rows differ in size."""

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import Range
from optimize.precision.int8.row_scales import row_scaled
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import check, convert, model, normal, run, snr_db
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN

PRODUCT = "(float[b, t, 24] x) => (float[b, t, 40] y) { y = MatMul(x, w) }"

GATED = """(float[b, t, 24] x) => (float[b, t, 40] y) {
 p = MatMul(x, w1) linear, gate = Split <axis = -1, num_outputs = 2> (p)
 g = Gelu <approximate = "tanh"> (gate) m = Mul(linear, g) y = MatMul(m, w2) }"""


def gated() -> ir.Model:
    made = model(GATED, w1=normal(24, 64) / 5, w2=normal(32, 40, seed=1))
    for node in made.graph:
        for value in node.outputs:
            if value.name in ("p", "linear", "gate", "g", "m"):
                value.shape = ir.Shape(["b", "t", 64 if value.name == "p" else 32])
                value.type = ir.TensorType(ir.DataType.FLOAT)
    return made


def test_nothing_changes_and_rows_of_zeros_stay_zero() -> None:
    made = model(PRODUCT, w=normal(24, 40))
    x = normal(2, 9, 24, seed=2) * np.float32(10.0) ** np.arange(-4, 5, dtype=np.float32)[:, None]
    x[0, 3] = 0
    expected = run(made, {"x": x})["y"]
    product = row_scaled(next(n for n in made.graph if n.op_type == "MatMul"))
    check(made)
    found = run(made, {"x": x})["y"]
    assert product.op_type == "MatMul"
    assert snr_db(expected, found) > 110
    assert not found[0, 3].any()


def test_static_int8_keeps_small_rows_beside_a_large_one() -> None:
    """One position in a hundred is fifty times as large: the others keep their precision."""
    x = normal(1, 100, 24, seed=3)
    x[0, 7] *= 50
    expected, values = (run(with_gate(), {"x": x})[name] for name in ("y", "m"))
    made = gated()
    done = convert(made, StaticInt8(), {"m": Range(float(values.min()), float(values.max()))})
    check(made)
    # The first product has no range, so that what is lost comes from the second alone.
    assert done.precision == {"int8": 1, "float32": 1}
    found = run(made, {"x": x})["y"]
    small = np.arange(100) != 7
    assert snr_db(expected[:, small], found[:, small]) > 35
    assert snr_db(expected[0, 7], found[0, 7]) > 35


def test_in_the_library_rows_that_no_norm_makes_have_ranges_in_blocks() -> None:
    made, ranges = gated(), {"x": Range(-3.0, 3.0), "m": Range(-5.0, 5.0)}
    convert(made, StaticInt8(native=True), ranges)
    products = [node.op_type for node in made.graph if node.domain == NATIVE_DOMAIN]
    assert products == ["IntegerProduct", "IntegerBlockProduct"]


def with_gate() -> ir.Model:
    made = gated()
    made.graph.outputs.append(next(v for n in made.graph for v in n.outputs if v.name == "m"))
    return made
