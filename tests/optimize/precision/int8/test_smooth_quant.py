"""SmoothQuant: exact in real numbers, and of use where channels differ in range."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import pytest

from calibration.ranges.observers import ChannelRange, Range
from optimize.precision.contract import NO_TRAITS
from optimize.precision.int8.smooth_quant import best_scales, sites, smooth
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import Array, check, convert, model, normal, run, snr_db

SPREAD = np.float32(2.0) ** np.linspace(-5, 5, 32, dtype=np.float32)

NORM = """(float[b, t, 32] x) => (float[b, t, 48] y, float[b, t, 40] z) {
 n = SimplifiedLayerNormalization <axis = -1, epsilon = 1e-6> (x, g)
 y = MatMul(n, w) z = MatMul(n, v) }"""
NORM_WEIGHTS = {"g": SPREAD, "w": normal(32, 48), "v": normal(32, 40, seed=1)}

ATTENTION = """(float[b, t, 32] x) => (float[b, t, 40] y) {
 p = MatMul(x, qkv) q, k, s = Split <axis = 2> (p, widths)
 a = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, s) y = MatMul(a, w) }"""
ATTENTION_WEIGHTS = {
    "qkv": normal(32, 96) / 6 * np.concatenate([np.ones(64, np.float32), SPREAD]),
    "widths": np.array([32, 32, 32], np.int64),
    "w": normal(32, 40, seed=1),
}

GATED = """(float[b, t, 24] x) => (float[b, t, 40] y) {
 p = MatMul(x, w1) linear, gate = Split <axis = -1, num_outputs = 2> (p)
 g = Gelu <approximate = "tanh"> (gate) m = Mul(linear, g) y = MatMul(m, w2) }"""
GATED_WEIGHTS = {
    "w1": normal(24, 64) / 5 * np.concatenate([SPREAD, np.ones(32, np.float32)]),
    "w2": normal(32, 40, seed=1),
}

CASES = [
    (NORM, NORM_WEIGHTS, "n"),
    (ATTENTION, ATTENTION_WEIGHTS, "a"),
    (GATED, GATED_WEIGHTS, "m"),
]


def made_of(text: str, weights: Mapping[str, Array]) -> ir.Model:
    made = model(text, **weights)
    for node in made.graph:
        for value in node.outputs:
            if value.shape is None and value.name in ("n", "a", "m"):
                value.shape = ir.Shape(["b", "t", 32])
                value.type = ir.TensorType(ir.DataType.FLOAT)
    return made


def value_of(text: str, weights: Mapping[str, Array], name: str, feeds: dict[str, Array]) -> Array:
    """What the activation holds, by making it the output."""
    made = made_of(text, weights)
    value = next(v for node in made.graph for v in node.outputs if v.name == name)
    made.graph.outputs.append(value)
    return run(made, feeds)[name]


def seen(values: Array) -> ChannelRange:
    flat = values.reshape(-1, values.shape[-1])
    return ChannelRange(flat.min(axis=0), flat.max(axis=0))


@pytest.mark.parametrize(("text", "weights", "name"), CASES, ids=[case[2] for case in CASES])
def test_nothing_changes_but_the_spread(text: str, weights: Mapping[str, Array], name: str) -> None:
    made = made_of(text, weights)
    assert set(sites(made.graph)) == {name}
    width = 24 if text is GATED else 32
    feeds = {"x": normal(2, 50, width, seed=2)}
    expected = run(made, feeds)
    before = seen(value_of(text, weights, name, feeds))
    after = smooth(made.graph, {name: before})[name]
    assert isinstance(after, ChannelRange)
    found = run(made, feeds)
    for output, values in expected.items():
        assert snr_db(values, found[output]) > 110
    made.graph.outputs.append(
        next(v for node in made.graph for v in node.outputs if v.name == name)
    )
    really = seen(run(made, feeds)[name])
    np.testing.assert_allclose(really.high, after.high, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(really.low, after.low, rtol=1e-4, atol=1e-6)
    spread = np.ptp(np.log2(np.maximum(np.abs(before.low), before.high)))
    assert np.ptp(np.log2(np.maximum(np.abs(after.low), after.high))) < spread - 3


@pytest.mark.parametrize(("text", "weights", "name"), CASES, ids=[case[2] for case in CASES])
def test_integers_lose_less(text: str, weights: Mapping[str, Array], name: str) -> None:
    width = 24 if text is GATED else 32
    feeds = {"x": normal(2, 50, width, seed=2)}
    made = made_of(text, weights)
    expected = run(made, feeds)["y"]
    asked = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    assert asked[name] == -1
    channels = {n: seen(value_of(text, weights, n, feeds)) for n in asked if n != "x"}
    whole = {n: Range(float(r.low.min()), float(r.high.max())) for n, r in channels.items()}
    results = []
    for ranges in (channels, whole):
        made = made_of(text, weights)
        convert(made, StaticInt8(), {**ranges, "x": Range(-4, 4)})
        check(made)
        results.append(snr_db(expected, run(made, feeds)["y"]))
    # A scale per row takes most of the error of what attention and gated units give already.
    assert results[0] > results[1] + (2 if name == "n" else 0.3)


def test_an_activation_that_something_else_reads_is_left() -> None:
    read_twice = NORM.replace("z = MatMul(n, v)", "z = Relu(n)").replace("40] z", "32] z")
    assert sites(made_of(read_twice, NORM_WEIGHTS).graph) == {}
    output = NORM.replace("=> (", "=> (float[b, t, 32] n, ")
    assert sites(made_of(output, NORM_WEIGHTS).graph) == {}
    shared_values = ATTENTION.replace("40] y)", "40] y, float[b, t, 32] s)")
    assert sites(made_of(shared_values, ATTENTION_WEIGHTS).graph) == {}


def test_an_activation_of_even_channels_is_left() -> None:
    even = ChannelRange(np.full(32, -3, np.float32), np.full(32, 3, np.float32))
    weight = np.sign(normal(32, 40))
    assert best_scales(even, weight) is None
    dead = ChannelRange(np.zeros(32, np.float32), np.zeros(32, np.float32))
    assert best_scales(dead, weight) is None


def test_dead_channels_and_unread_rows_do_no_harm() -> None:
    peak = SPREAD.copy()
    peak[3] = 0
    weight = normal(32, 40)
    weight[5] = 0
    scales = best_scales(ChannelRange(-peak, peak), weight)
    assert scales is not None
    assert np.isfinite(scales).all() and (scales > 0).all()


def test_small_differences_are_evened_too() -> None:
    """Channels within a factor of two: powers of two could not tell them apart."""
    peak = np.float32(2.0) ** np.linspace(-0.45, 0.45, 32, dtype=np.float32)
    scales = best_scales(ChannelRange(-peak, peak), np.sign(normal(32, 40)))
    assert scales is not None
    assert np.ptp(np.log2(peak / scales)) < 0.5


def test_scales_per_row_leave_more_to_the_weights() -> None:
    peak, weight = SPREAD[::-1].copy(), normal(32, 40)
    of_all, of_rows = (best_scales(ChannelRange(-peak, peak), weight, s) for s in (1.0, 0.01))
    assert of_all is not None and of_rows is not None
    assert np.ptp(np.log2(of_rows)) < np.ptp(np.log2(of_all))


def test_whole_ranges_smooth_nothing() -> None:
    made = made_of(NORM, NORM_WEIGHTS)
    given = {"n": Range(-3, 3)}
    assert smooth(made.graph, given) == given
    assert made.graph.initializers["w"].uses()


@pytest.mark.parametrize(("text", "weights", "name"), CASES, ids=[case[2] for case in CASES])
def test_limits_follow_the_smoothing(text: str, weights: Mapping[str, Array], name: str) -> None:
    channels = text.split("] x)")[0].split()[-1]
    feeds = {"x": normal(3, 20, int(channels), seed=5)}
    found = seen(value_of(text, weights, name, feeds))
    whole = made_of(text, weights)
    limits = convert(whole, StaticInt8(), {name: found}).limits[name]
    assert isinstance(limits, ChannelRange)
    slack = 0.01 * (found.high - found.low)
    assert (limits.low <= found.low + slack).all() and (limits.high >= found.high - slack).all()
    # Smoothing leaves each channel little more than it needs, where one range would leave 1000 x.
    spread = (limits.high - limits.low) / (found.high - found.low)
    assert np.median(spread) < 16 and spread.min() < 2


def test_limits_of_a_tensor_that_is_not_smoothed_are_its_range() -> None:
    made = model("(float[t, 32] x) => (float[t, 48] y) { y = MatMul(x, w) }", w=normal(32, 48))
    found = convert(made, StaticInt8(), {"x": Range(0.5, 3.0)}).limits
    assert found == {"x": Range(0.0, 3.0)}
