from pathlib import Path

import numpy as np

from optimize.precision.contract import Traits
from optimize.precision.int8.dynamic import DynamicInt8
from tests.optimize.graphs import check, convert, model, normal, ops, run, runtime_ops, snr_db

MATMUL = "(float[b, t, 64] x) => (float[b, t, 48] y) { p = MatMul(x, w) y = Add(p, bias) }"
SPREAD = "most of its values are too small beside its largest ones for 8 bits"
CONV = """(float[b, 24, n] x) => (float[b, 32, m] y) {
 y = Conv <kernel_shape = [5], pads = [4, 4], dilations = [2], strides = [2]> (x, w, bias) }"""


def test_matmul_becomes_the_fused_integer_kernel(tmp_path: Path) -> None:
    weights = {"w": normal(64, 48), "bias": normal(48)}
    feeds = {"x": normal(2, 5, 64)}
    expected = run(model(MATMUL, **weights), feeds)["y"]
    made = model(MATMUL, **weights)
    assert convert(made, DynamicInt8()).precision == {"int8": 1}
    assert runtime_ops(made, tmp_path)["DynamicQuantizeMatMul"] == 1
    assert snr_db(expected, run(made, feeds)["y"]) > 34
    check(made)


def test_products_of_one_value_quantize_it_once(tmp_path: Path) -> None:
    text = """(float[b, t, 64] x) => (float[b, t, 48] y, float[b, t, 48] z) {
     y = MatMul(x, w) z = MatMul(x, v) }"""
    made = model(text, w=normal(64, 48), v=normal(64, 48, seed=1))
    convert(made, DynamicInt8())
    assert ops(made)["DynamicQuantizeLinear"] == 1
    assert runtime_ops(made, tmp_path)["MatMulIntegerToFloat"] == 2


def test_columns_have_scales_of_their_own() -> None:
    spread = np.float32(10.0) ** np.linspace(-3, 3, 48, dtype=np.float32)
    weights = {"w": normal(64, 48) * spread, "bias": np.zeros(48, np.float32)}
    feeds = {"x": normal(1, 40, 64)}
    expected = run(model(MATMUL, **weights), feeds)["y"]
    made = model(MATMUL, **weights)
    convert(made, DynamicInt8())
    found = run(made, feeds)["y"]
    assert snr_db(expected[..., 0], found[..., 0]) > 30


def test_conv_becomes_an_integer_convolution_right_up_to_its_padding(tmp_path: Path) -> None:
    weights = {"w": normal(32, 24, 5), "bias": normal(32)}
    # A range far from symmetric: padding must be the zero point, not the integer 0.
    feeds = {"x": np.abs(normal(2, 24, 40)) * 3 - np.float32(0.5)}
    expected = run(model(CONV, **weights), feeds)["y"]
    made = model(CONV, **weights)
    assert convert(made, DynamicInt8()).precision == {"int8": 1}
    assert runtime_ops(made, tmp_path)["ConvInteger"] == 1
    found = run(made, feeds)["y"]
    assert snr_db(expected, found) > 34
    assert snr_db(expected[..., [0, -1]], found[..., [0, -1]]) > 30
    check(made)


def test_what_stays_float_says_why() -> None:
    text = """(float[b, 1, n] x) => (float[b, 1, m] y) {
     a = Conv (x, w0) s = Conv (a, w1) y = Conv (s, w2) }"""
    made = model(text, w0=normal(32, 1, 3), w1=normal(32, 32, 3), w2=normal(1, 32, 3))
    done = convert(made, DynamicInt8(), traits=Traits(has_waveform=True))
    assert done.precision == {"int8": 1, "float32": 2}
    assert [node.reason.split(":")[0] for node in done.float_nodes] == [
        "the first convolution",
        "the last convolution",
    ]


def test_a_weight_of_values_far_apart_stays_float() -> None:
    outliers = normal(64, 48)
    outliers[:4] *= 3000
    # Those rows are never read: x is 0 there, as behind a mask.
    x = normal(2, 5, 64)
    x[..., :4] = 0
    made = model(MATMUL, w=outliers, bias=np.zeros(48, np.float32))
    expected = run(made, {"x": x})["y"]
    found = convert(made, DynamicInt8())
    assert [node.reason for node in found.float_nodes] == [SPREAD]
    assert snr_db(expected, run(made, {"x": x})["y"]) > 100
    sparse = np.where(np.arange(64 * 48).reshape(64, 48) % 5, 0, normal(64, 48))
    assert convert(model(MATMUL, w=sparse, bias=normal(48)), DynamicInt8()).precision == {"int8": 1}


def test_a_convolution_with_one_channel_far_apart_stays_float() -> None:
    weight = normal(32, 24, 5)
    weight[:, 0, 0] *= 3000
    made = model(CONV, w=weight, bias=normal(32))
    assert [node.reason for node in convert(made, DynamicInt8()).float_nodes] == [SPREAD]
    loud = normal(32, 24, 5) * np.geomspace(1, 1e4, 32, dtype=np.float32).reshape(-1, 1, 1)
    assert convert(model(CONV, w=loud, bias=normal(32)), DynamicInt8()).precision == {"int8": 1}
