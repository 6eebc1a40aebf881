from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from optimize.precision.contract import NO_TRAITS, Traits
from optimize.precision.int8 import conv_exclusions
from optimize.precision.int8.conv import steps_of
from optimize.precision.int8.static import StaticInt8, activation_of
from tests.optimize.graphs import (
    Array,
    check,
    convert,
    model,
    normal,
    ops,
    run,
    runtime_ops,
    snr_db,
)


@pytest.fixture(autouse=True)
def few_channels_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """These graphs are smaller than any for which the integer kernels pay."""
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)


@dataclass(frozen=True)
class Seen:
    low: float
    high: float


def seen(values: Array) -> Seen:
    return Seen(float(values.min()), float(values.max()))


CONVS = """(float[b, 24, n] x) => (float[b, 32, n] y) {
 c = Conv <kernel_shape = [3], pads = [1, 1]> (x, w, bias) r = Sin(c)
 d = Conv <kernel_shape = [5], pads = [4, 4], dilations = [2]> (r, v, bias) y = Mul(d, half) }"""
CONV_WEIGHTS = {
    "w": normal(32, 24, 3) / 8,
    "v": normal(32, 32, 5, seed=1) / 8,
    "bias": normal(32),
    "half": np.float32(0.5),
}


def test_convolutions_become_integer_kernels(tmp_path: Path) -> None:
    feeds = {"x": normal(2, 24, 50)}
    with_all = CONVS.replace(
        "=> (", "=> (float[b, 32, n] c, float[b, 32, n] r, float[b, 32, n] d, "
    )
    truth = run(model(with_all, **CONV_WEIGHTS), feeds) | feeds
    made = model(CONVS, **CONV_WEIGHTS)
    names = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    assert set(names) == {"x", "c", "r", "d"}
    done = convert(made, StaticInt8(), {name: seen(truth[name]) for name in names})
    assert done.precision == {"int8": 2}
    found = runtime_ops(made, tmp_path)
    assert found["QLinearConv"] == 2
    assert found["Conv"] == 0
    assert snr_db(truth["y"], run(made, feeds)["y"]) > 30
    check(made)


def test_a_conv_read_by_a_conv_shares_its_pair(tmp_path: Path) -> None:
    text = """(float[b, 24, n] x) => (float[b, 32, k] y) {
     c = Conv (x, w) y = Conv (c, v) }"""
    weights = {"w": normal(32, 24, 3) / 8, "v": normal(32, 32, 5, seed=1) / 8}
    feeds = {"x": normal(2, 24, 50)}
    truth = run(model(text.replace("=> (", "=> (float[b, 32, m] c, "), **weights), feeds) | feeds
    made = model(text, **weights)
    names = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    convert(made, StaticInt8(), {name: seen(truth[name]) for name in names})
    assert ops(made)["QuantizeLinear"] == 3
    assert [value.name for value in made.graph.outputs] == ["y"]
    assert runtime_ops(made, tmp_path)["DequantizeLinear"] == 1
    assert snr_db(truth["y"], run(made, feeds)["y"]) > 28


def test_matmul_keeps_a_float_output(tmp_path: Path) -> None:
    text = """(float[b, t, 64] x) => (float[b, t, 48] y, float[b, t, 48] z) {
     y = MatMul(x, w) z = MatMul(x, v) }"""
    weights = {"w": normal(64, 48), "v": normal(64, 48, seed=1)}
    feeds = {"x": normal(2, 5, 64)}
    expected = run(model(text, **weights), feeds)
    made = model(text, **weights)
    assert StaticInt8().plan(made.graph, NO_TRAITS).ranges == {"x": None}
    convert(made, StaticInt8(), {"x": seen(feeds["x"])})
    assert ops(made)["QuantizeLinear"] == 1
    found = runtime_ops(made, tmp_path)
    assert found["MatMulIntegerToFloat"] == 2
    assert found["MatMul"] == 0
    assert snr_db(expected["z"], run(made, feeds)["z"]) > 34
    check(made)


def test_a_bias_outlives_columns_of_zero_and_of_nearly_zero() -> None:
    text = """(float[n, 32] x) => (float[n, 32] y) {
     h = MatMul(x, w) a = Add(h, b) r = Relu(a) y = MatMul(r, w) }"""
    weight, bias = normal(32, 32), normal(32)
    weight[:, 0], weight[:, 1], bias[:2] = 0, 1e-20 * weight[:, 1], (40, 3)
    weights, feeds = {"w": weight, "b": bias}, {"x": normal(9, 32)}
    truth = run(model(text.replace("=> (", "=> (float[n, 32] r, "), **weights), feeds)
    made = model(text, **weights)
    convert(made, StaticInt8(), {"x": seen(feeds["x"]), "r": seen(truth["r"])})
    # The runtime itself joins product and bias, and stores the bias in integers.
    assert snr_db(truth["y"], run(made, feeds)["y"]) > 30
    check(made)


def test_the_head_has_a_scale_per_row_and_needs_no_range(tmp_path: Path) -> None:
    text = """(float[b, t, 64] x) => (int64[b, t] y) {
     h = MatMul(x, w) l = MatMul(h, v) y = ArgMax <axis = -1, keepdims = 0> (l) }"""
    made = model(text, w=normal(64, 64), v=normal(64, 96, seed=1))
    assert StaticInt8().plan(made.graph, NO_TRAITS).ranges == {"x": None}
    done = convert(made, StaticInt8(), {"x": Seen(-4, 4)})
    assert done.precision == {"int8": 2}
    assert ops(made)["ReduceMax"] == 1
    assert runtime_ops(made, tmp_path)["MatMulIntegerToFloat"] == 2


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [
        ({}, "calibration gave no range for x"),
        ({"x": Seen(-1, float("inf"))}, "the range of x is [-1, inf]"),
        ({"x": Seen(2, 1)}, "the range of x is [2, 1]"),
    ],
)
def test_without_a_usable_range_a_node_stays_float_and_says_so(
    ranges: dict[str, Seen], reason: str
) -> None:
    made = model(
        "(float[b, t, 64] x) => (float[b, t, 48] y) { y = MatMul(x, w) }", w=normal(64, 48)
    )
    done = convert(made, StaticInt8(), ranges)
    assert done.precision == {"float32": 1}
    assert [node.reason for node in done.float_nodes] == [reason]
    assert ops(made) == {"MatMul": 1}


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 3.0), (-3.0, -0.5), (0.0, 0.0)])
def test_zero_is_exact_and_the_range_is_covered(low: float, high: float) -> None:
    found = activation_of(low, high)
    scale, zero = float(found.scale), int(found.zero_point)
    assert 0 <= zero <= 255
    assert scale * (0 - zero) <= min(low, 0) + scale / 2 + 1e-9
    assert scale * (255 - zero) >= max(high, 0) - scale / 2 - 1e-9


def test_the_bias_is_an_integer_in_the_products_units() -> None:
    text = "(float[b, 24, n] x) => (float[b, 32, m] y) { y = Conv (x, w, bias) }"
    bias = 100 * normal(32)
    made = model(text, w=normal(32, 24, 1) / 8, bias=bias)
    convert(made, StaticInt8(), {"x": Seen(-4, 4), "y": Seen(-300, 300)})
    stored = made.graph.initializers["conv_0/bias.int32"].const_value
    scales = made.graph.initializers["conv_0/bias.scales"].const_value
    assert stored is not None and scales is not None
    assert stored.numpy().dtype == np.int32
    # The kernel's sums are in steps of the output.
    step = steps_of(np.array([-300]), np.array([300])).sizes[0]
    np.testing.assert_allclose(stored.numpy() * scales.numpy() * step, bias, rtol=1e-3, atol=1e-2)


def test_the_embedding_stays_float_and_says_so() -> None:
    text = """(int64[b, t] i) => (float[b, t, 48] z) {
     a = Gather (t0, i) c = Gather (t1, i) e = Concat <axis = -1> (a, c)
     y = MatMul(e, w) z = MatMul(y, v) }"""
    made = model(
        text,
        t0=normal(9, 32),
        t1=normal(9, 32, seed=1),
        w=normal(64, 64),
        v=normal(64, 48),
    )
    traits = Traits(embeds_codes=True)
    assert StaticInt8().plan(made.graph, traits).ranges == {"y": None}
    done = convert(made, StaticInt8(), {"y": Seen(-4, 4)}, traits=traits)
    assert done.precision == {"int8": 1, "float32": 1}
    assert "one scale for the rows of all codebooks" in done.float_nodes[0].reason


def test_a_decoders_float_convolutions_are_stored_in_8_bits(tmp_path: Path) -> None:
    """Between quantized ones too, the runtime computes them in float."""
    text = """(float[b, 64, n] x) => (float[b, 64, n] y) {
     s = Sin (x) a = Conv <kernel_shape = [5], pads = [2, 2]> (s, wide, bias)
     d = Conv <kernel_shape = [3], pads = [1, 1]> (a, short, bias)
     y = Conv <kernel_shape = [5], pads = [2, 2]> (d, wide, bias) }"""
    weights = {
        "wide": normal(64, 64, 5) / 16,
        "short": normal(64, 64, 3, seed=1) / 16,
        "bias": normal(64) / 16,
    }
    feeds = {"x": normal(2, 64, 50)}
    shown = text.replace("=> (", "=> (float[b, 64, n] s, float[b, 64, n] a, float[b, 64, n] d, ")
    truth = run(model(shown, **weights), feeds)
    made = model(text, **weights)
    done = convert(
        made,
        StaticInt8(),
        {name: seen(truth[name]) for name in "sady"},
        traits=Traits(is_family=True, is_decoder=True),
    )
    assert done.precision == {"int8": 2, "int8-weights": 1}
    (stored,) = done.mixed_nodes
    assert stored.reason.startswith("a kernel of 3:")
    found = runtime_ops(made, tmp_path)
    assert (found["QLinearConv"], found["Conv"]) == (2, 1)
    assert snr_db(truth["y"], run(made, feeds)["y"]) > 30
    check(made)


def test_weights_that_integers_cannot_hold_stay_and_are_named() -> None:
    """Of nodes whose weights alone are stored too."""
    text = """(float[b, 64, n] x) => (float[b, 64, k] y) {
     s = Sin (x) a = Conv <kernel_shape = [5]> (s, wide, bias)
     y = Conv <kernel_shape = [3]> (a, short, bias) }"""
    short = normal(64, 64, 3)
    short[0, 0, 0] = np.nan
    made = model(text, wide=normal(64, 64, 5), short=short, bias=normal(64))
    traits = Traits(is_family=True, is_decoder=True)
    done = convert(made, StaticInt8(), {}, traits=traits)
    assert done.precision == {"float32": 2}
    assert any("NaN or infinity" in node.reason for node in done.float_nodes)
