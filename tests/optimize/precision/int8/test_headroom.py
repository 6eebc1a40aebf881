"""Convolutions of models that little calibrates keep what they say of other input."""

import numpy as np
import pytest

from calibration.ranges.observers import ChannelRange, MinMax, Range
from optimize.precision.contract import NO_TRAITS, Traits
from optimize.precision.int8.headroom import _ENOUGH_VALUES, with_room
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import Array, convert, model, normal, run

TEXT = """(float[b, 8, n] x) => (float[b, 6, m] y) {
 c = Conv <pads = [1, 1]> (x, w, bias) r = Relu (c) y = Conv (r, v) }"""
WEIGHTS = {"w": normal(8, 8, 3) / 5, "bias": normal(8, seed=1) - 1, "v": normal(6, 8, 3, seed=2)}


def seen(values: Array) -> ChannelRange:
    observer = MinMax()
    axes = (0, 2)
    count = values.shape[0] * values.shape[2]
    observer.update(values.min(axes), values.max(axes), values.sum(axes, np.float64), count)
    return observer.channels()


def test_few_values_reach_as_far_as_many_would() -> None:
    few, many = normal(1, 4, 60), normal(1, 4, _ENOUGH_VALUES, seed=1)
    found = with_room({"x": seen(few)})["x"]
    assert (found.low < few.min(axis=(0, 2))).all()
    share = ((many < found.low[:, None]) | (many > found.high[:, None])).mean()
    assert share < 2e-3
    enough = seen(many)
    assert with_room({"x": enough}, 0.5)["x"] is enough
    whole = with_room({"x": Range(-2.0, 2.5, 0.0, 240)})["x"]
    assert -3.5 < whole.low < -2.5
    assert 3 < whole.high < 4


def test_what_is_never_negative_stays_so_and_narrow_channels_get_a_share() -> None:
    values = np.maximum(normal(1, 3, 60), 0)
    values[0, 1] *= 0.01
    values[0, 2] = -values[0, 0]
    found = with_room({"x": seen(values)}, 0.5)["x"]
    assert found.low[0] == found.low[1] == found.high[2] == 0
    assert found.high[1] > values.max() / 4


def test_an_observers_own_choice_is_taken_as_it_is() -> None:
    chosen = ChannelRange(np.float32([-1, -2]), np.float32([1, 3]), np.zeros(2))
    assert with_room({"x": chosen})["x"] is chosen


@pytest.mark.parametrize("is_family", [False, True])
def test_other_input_is_less_clipped_but_in_the_family(is_family: bool) -> None:
    traits = Traits(is_calibrated_on_audio=is_family)
    with_all = TEXT.replace("=> (", "=> (float[b, 8, n] c, float[b, 8, n] r, ")
    short, other = ({"x": normal(1, 8, n, seed=n)} for n in (40, 4000))
    truth = run(model(with_all, **WEIGHTS), short) | short
    made = model(TEXT, **WEIGHTS)
    names = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    ranges = {name: seen(truth[name]) for name in names}
    expected = run(made, other)["y"]
    covered = convert(model(TEXT, **WEIGHTS), StaticInt8(), ranges, traits=traits).limits["x"]
    beyond = (other["x"] < covered.low[:, None]) | (other["x"] > covered.high[:, None])
    assert (beyond.mean() < 1e-3) != is_family
    if not is_family:
        convert(made, StaticInt8(), ranges, traits=traits)
        error = np.sqrt(np.mean((run(made, other)["y"] - expected) ** 2) / np.mean(expected**2))
        assert error < 0.05
