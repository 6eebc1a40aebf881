"""Bias correction: rounding weights does not shift the mean of an output."""

import numpy as np
import pytest

from calibration.ranges.observers import ChannelRange
from optimize.precision.int8 import conv_exclusions
from optimize.precision.int8.conv_weight import mean_error
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import Array, convert, model, normal, run

TEXT = "(float[b, 24, n] x) => (float[b, 32, m] y) { y = Conv (x, w, bias) }"
WEIGHTS = {"w": normal(32, 24, 5) / 8, "bias": normal(32)}


@pytest.fixture(autouse=True)
def few_channels_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """This convolution is smaller than any for which the integer kernel pays."""
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)


def seen(values: Array) -> ChannelRange:
    mean = values.mean(axis=(0, 2), dtype=np.float64)
    return ChannelRange(values.min(axis=(0, 2)), values.max(axis=(0, 2)), mean)


def mean_shift(correct: bool) -> Array:
    x = normal(2, 24, 400, seed=3) + 3 * normal(24, 1, seed=4)
    truth = run(model(TEXT, **WEIGHTS), {"x": x})["y"]
    made = model(TEXT, **WEIGHTS)
    settings = StaticInt8(correct_bias=correct)
    convert(made, settings, {"x": seen(x), "y": seen(truth)})
    found = run(made, {"x": x})["y"]
    return np.asarray((found - truth).mean(axis=(0, 2)))


def test_the_mean_of_each_output_stays() -> None:
    before, after = (np.sqrt(np.mean(mean_shift(c) ** 2)) for c in (False, True))
    assert after < before / 3


def test_the_error_is_that_of_the_rounded_weights() -> None:
    weight = np.array([[[0.6, 0.4]], [[-127.0, 0.0]]], np.float32)
    error = mean_error(weight, np.ones(2, np.float32), np.array([10.0]))
    np.testing.assert_allclose(error, [(1 - 0.6 + 0 - 0.4) * 10, 0], atol=1e-6)


def test_without_mean_inputs_the_bias_is_rounded_alone() -> None:
    made = model(TEXT, **WEIGHTS)
    whole = ChannelRange(np.full(24, -9, np.float32), np.full(24, 9, np.float32))
    out = ChannelRange(np.full(32, -20, np.float32), np.full(32, 20, np.float32))
    convert(made, StaticInt8(), {"x": whole, "y": out})
    stored = made.graph.initializers["conv_0/bias.int32"].const_value
    scales = made.graph.initializers["conv_0/bias.scales"].const_value
    assert stored is not None and scales is not None
    steps = 40 / 254
    np.testing.assert_allclose(
        stored.numpy() * scales.numpy() * steps, WEIGHTS["bias"], rtol=0.02, atol=0.02
    )
