"""GPTQ in static INT8: the same scales and kernels, and less error where inputs go together."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import ChannelRange
from optimize.precision.contract import NO_TRAITS, MomentsOf
from optimize.precision.int8.compensated import rounded, widths_of
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import Array, check, convert, model, normal, run, runtime_ops, snr_db

MIX = normal(6, 48, seed=7)
"""Six causes behind 48 channels: what rounding one weight costs another can make up for."""

SPREAD = np.float32(2.0) ** np.linspace(-3, 3, 48, dtype=np.float32)

TEXT = """(float[t, 48] x) => (float[t, 64] y, float[t, 96] z) {
 n = SimplifiedLayerNormalization <axis = -1, epsilon = 1e-6> (x, g)
 y = MatMul(n, w) z = MatMul(n, v) }"""
WEIGHTS = {"g": SPREAD, "w": normal(48, 64), "v": normal(48, 96, seed=1)}


def correlated(n: int, seed: int) -> Array:
    return normal(n, 6, seed=seed) @ MIX + 0.01 * normal(n, 48, seed=seed + 1)


def normed(x: Array) -> Array:
    made = model(TEXT, **WEIGHTS)
    made.graph.outputs.append(next(v for n in made.graph for v in n.outputs if v.name == "n"))
    return run(made, {"x": x})["n"]


def moments_of(values: Array) -> MomentsOf:
    def collect(widths: Mapping[str, int]) -> Iterable[tuple[str, Array]]:
        assert widths == {"n": 48}
        yield "n", (values.T @ values).astype(np.float64)

    return collect


def test_products_of_smoothed_inputs_lose_less_on_other_data(tmp_path: Path) -> None:
    seen = normed(correlated(400, 10))
    ranges = {"n": ChannelRange(seen.min(axis=0), seen.max(axis=0))}
    x = correlated(200, 20)
    expected = run(model(TEXT, **WEIGHTS), {"x": x})
    errors = []
    for moments in (None, moments_of(seen)):
        made = model(TEXT, **WEIGHTS)
        done = convert(made, StaticInt8(), ranges, moments_of=moments)
        assert done.precision == {"int8": 2}
        check(made)
        assert runtime_ops(made, tmp_path)["MatMulIntegerToFloat"] == 2
        # With exact inputs what is left is the error of the weights.
        for node in [n for n in made.graph if n.op_type == "DequantizeLinear"]:
            if node.inputs[0] is not None and not node.inputs[0].is_initializer():
                source = node.inputs[0].producer()
                assert source is not None
                node.outputs[0].replace_all_uses_with(source.inputs[0])  # type: ignore[arg-type]
        found = run(made, {"x": x})
        errors.append([snr_db(expected[name], found[name]) for name in ("y", "z")])
    assert errors[1][0] > errors[0][0] + 4
    assert errors[1][1] > errors[0][1] + 4


def test_the_scales_stay_those_of_rounding_to_nearest() -> None:
    seen = normed(correlated(400, 10))
    made = model(TEXT, **WEIGHTS)
    nodes = [node for node in made.graph if node.op_type == "MatMul"]
    found = rounded(nodes, {}, {}, moments_of(seen))
    for node, name in zip(nodes, ("w", "v"), strict=True):
        scales = np.abs(WEIGHTS[name]).max(axis=0) / 127
        integers = found[node].read()
        off = integers - WEIGHTS[name] / scales
        assert integers.dtype == np.int8
        # Most stay within a step of where they were.
        assert np.median(np.abs(off)) < 1


def test_a_weight_of_more_rows_than_columns_is_rounded_to_nearest() -> None:
    text = "(float[t, 48] x) => (float[t, 32] z) { y = MatMul(x, w) z = MatMul(y, v) }"
    made = model(text, w=normal(48, 64), v=normal(64, 32))
    assert widths_of(list(made.graph)) == {"x": 48}
    assert StaticInt8().plan(made.graph, NO_TRAITS).moments == {"x": 48}


def test_without_such_products_nothing_is_collected() -> None:
    def never(widths: Mapping[str, int]) -> Iterable[tuple[str, Array]]:
        raise AssertionError(widths)

    nodes: list[ir.Node] = []
    assert rounded(nodes, {}, {}, never) == {}


def test_ranges_by_a_convolutions_channels_say_nothing_of_a_product() -> None:
    text = """(float[b, 24, 48] x) => (float[b, 24, 64] y) {
     c = Conv <kernel_shape = [1]> (x, k) y = MatMul(c, w) }"""
    made = model(text, k=normal(24, 24, 1), w=normal(48, 64))
    seen = {"c": ChannelRange(-np.arange(1, 25, dtype="f4"), np.arange(1, 25, dtype="f4"))}

    def collect(widths: Mapping[str, int]) -> Iterable[tuple[str, Array]]:
        assert widths == {"c": 48}
        yield "c", np.eye(48)

    nodes = [node for node in made.graph if node.op_type == "MatMul"]
    assert rounded(nodes, seen, dict(seen), collect)[nodes[0]].read().shape == (48, 64)
