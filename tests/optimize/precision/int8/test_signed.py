"""S8 activations: zero point 0, the runtime's integer kernels, little more error."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.ranges.observers import ChannelRange, Range
from optimize.precision.contract import NO_TRAITS
from optimize.precision.int8 import conv_exclusions
from optimize.precision.int8.signed import make_signed
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import Array, check, convert, model, normal, run, runtime_ops, snr_db

CONVS = """(float[b, 24, n] x) => (float[b, 32, k] y) {
 c = Conv (x, w, bias) y = Conv (c, v, bias) }"""
CONV_WEIGHTS = {
    "w": normal(32, 24, 3) / 8,
    "v": normal(32, 32, 5, seed=1) / 8,
    "bias": normal(32),
}
PRODUCT = "(float[b, t, 64] x) => (float[b, t, 64] y) { y = MatMul(x, w) }"
SIGNED = StaticInt8(signed=True)


@pytest.fixture(autouse=True)
def few_channels_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """These graphs are smaller than any for which the integer kernels pay."""
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)


def seen(values: Array, axis: int) -> ChannelRange:
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    return ChannelRange(rows.min(axis=1), rows.max(axis=1))


def zero_points(made: ir.Model) -> list[Array]:
    """Those of activations; weights and biases have none."""
    return [
        node.inputs[2].const_value.numpy()
        for node in made.graph
        if node.op_type == "QuantizeLinear"
        and node.inputs[2] is not None
        and node.inputs[2].const_value is not None
    ]


def test_convolutions_take_signed_values_in_the_integer_kernel(tmp_path: Path) -> None:
    feeds = {"x": normal(2, 24, 50)}
    with_all = CONVS.replace("=> (", "=> (float[b, 32, m] c, ")
    truth = run(model(with_all, **CONV_WEIGHTS), feeds) | feeds
    made = model(CONVS, **CONV_WEIGHTS)
    names = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    convert(made, SIGNED, {name: seen(truth[name], 1) for name in names})
    check(made)
    assert len(zero_points(made)) == 3
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zero_points(made))
    assert runtime_ops(made, tmp_path)["QLinearConv"] == 2
    assert snr_db(truth["y"], run(made, feeds)["y"]) > 28


@pytest.mark.parametrize("top", [0.11963927855711423, 0.5, 1.0, 3.7])
def test_products_of_any_range_have_their_zero_in_the_middle(top: float) -> None:
    made = model(PRODUCT, w=normal(64, 64))
    assert convert(made, SIGNED, {"x": Range(-top, top)}).precision == {"int8": 1}
    stored = [v.const_value for v in made.graph.initializers.values()]
    zeros = [t for t in stored if t is not None and t.dtype == ir.DataType.INT8 and t.size == 1]
    assert [zero.numpy().item() for zero in zeros] == [0]
    check(made)


@pytest.mark.exact_products
def test_products_take_signed_values_in_the_integer_kernel(tmp_path: Path) -> None:
    feeds, weights = {"x": np.abs(normal(2, 30, 64))}, {"w": normal(64, 64)}
    expected = run(model(PRODUCT, **weights), feeds)["y"]
    ratios = []
    for settings in (SIGNED, StaticInt8()):
        made = model(PRODUCT, **weights)
        low_high = ChannelRange(np.zeros(1, np.float32), feeds["x"].max(keepdims=True).reshape(1))
        convert(made, settings, {"x": low_high})
        check(made)
        assert runtime_ops(made, tmp_path)["MatMulIntegerToFloat"] == 1
        ratios.append(snr_db(expected, run(made, feeds)["y"]))
    # All values are of one sign, so that half of the signed ones go unused.
    assert ratios[1] - 6 < ratios[0] < ratios[1] - 1


def test_another_zero_point_is_refused() -> None:
    made = model(PRODUCT, w=normal(64, 64))
    one = ChannelRange(np.float32([-1]), np.float32([5]))
    convert(made, StaticInt8(), {"x": one})
    with pytest.raises(ValueError, match="zero point is not 128"):
        make_signed(made.graph)
