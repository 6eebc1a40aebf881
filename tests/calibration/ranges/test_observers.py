import numpy as np
import pytest

from calibration.ranges.channel_histograms import CHANNEL_PERCENTILE, ChannelHistograms
from calibration.ranges.observers import (
    CHOOSERS,
    ChannelRange,
    Histogram,
    MinMax,
    Range,
    entropy_range,
    mse_range,
    percentile_range,
)


def histogram_of(values: np.ndarray, parts: int = 3) -> Histogram:
    histogram = Histogram(Range(float(values.min()), float(values.max())))
    for part in np.array_split(values, parts):
        histogram.update(part)
    return histogram


def heavy_tailed(n: int = 1_000_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(n).astype(np.float32)
    values[0] = 30
    values[1] = -20
    return values


def test_minmax_keeps_extremes_of_scalars_and_channels() -> None:
    observer = MinMax()
    with pytest.raises(ValueError, match="nothing was observed"):
        observer.range()
    observer.update(np.float32([-1, 0]), np.float32([2, 3]))
    observer.update(np.float32([0, -5]), np.float32([1, 4]))
    np.testing.assert_array_equal(observer.channels().low, [-1, -5])
    np.testing.assert_array_equal(observer.channels().high, [2, 4])
    assert observer.range() == Range(-5.0, 4.0)


def test_a_histogram_counts_every_value_as_numpy_does() -> None:
    values = heavy_tailed()
    histogram = histogram_of(values)
    assert histogram.counts.sum() == len(values)
    expected, _ = np.histogram(values, bins=2048, range=(values.min(), values.max()))
    # float32 against float64 edges may move a value to the neighbouring bin.
    assert np.abs(np.cumsum(histogram.counts) - np.cumsum(expected)).max() <= 5


def test_percentile_leaves_the_tails_out() -> None:
    values = heavy_tailed()
    found = percentile_range(histogram_of(values), 99.0)
    low, high = np.percentile(values, [0.5, 99.5])
    bin_width = 50 / 2048
    assert found.low == pytest.approx(low, abs=bin_width)
    assert found.high == pytest.approx(high, abs=bin_width)
    assert percentile_range(histogram_of(values), 100.0) == Range(-20.0, 30.0)


def quantization_error(values: np.ndarray, chosen: Range) -> float:
    step = (chosen.high - chosen.low) / 255
    image = np.round((np.clip(values, chosen.low, chosen.high) - chosen.low) / step) * step
    return float(np.mean((values - image - chosen.low) ** 2))


def test_mse_range_is_near_the_best_of_a_brute_search() -> None:
    values = heavy_tailed()
    found = mse_range(histogram_of(values))
    tried = [
        quantization_error(values, Range(low, high))
        for low in np.linspace(-20, -2, 13)
        for high in np.linspace(2, 30, 13)
    ]
    assert quantization_error(values, found) <= 1.05 * min(tried)
    assert quantization_error(values, found) < 0.7 * quantization_error(values, Range(-20, 30))


def test_entropy_clips_outliers_and_keeps_a_uniform_range() -> None:
    clipped = entropy_range(histogram_of(heavy_tailed()))
    assert -20 < clipped.low < -2 and 2 < clipped.high < 30
    assert clipped.low / clipped.high == pytest.approx(-20 / 30)
    uniform = np.random.default_rng(1).uniform(-1, 1, 100_000).astype(np.float32)
    kept = entropy_range(histogram_of(uniform))
    assert kept.high > 0.9 and kept.low < -0.9


@pytest.mark.parametrize("name", CHOOSERS)
def test_one_sided_values_keep_zero_within_what_was_seen(name: str) -> None:
    rng = np.random.default_rng(2)
    values = (0.5 + np.abs(rng.standard_normal(50_000))).astype(np.float32)
    found = CHOOSERS[name](histogram_of(values))
    assert 0 <= found.low <= 0.51
    assert 1.5 < found.high <= values.max()


def test_a_constant_is_counted() -> None:
    histogram = Histogram(Range(2.0, 2.0))
    histogram.update(np.full(10, 2, np.float32))
    assert histogram.counts[0] == 10


@pytest.mark.parametrize("name", CHOOSERS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_each_channel_is_treated_as_a_tensor_of_its_own(name: str, axis: int) -> None:
    rng = np.random.default_rng(3)
    rows = (rng.standard_t(3, (4, 3000)) * [[1], [10], [0.1], [0]]).astype(np.float32)
    rows[2] += 0.5
    seen = ChannelRange(rows.min(axis=1), rows.max(axis=1))
    counted = ChannelHistograms(seen)
    for part in np.array_split(rows, 3, axis=1):
        cube = part.reshape(4, 1, -1)
        counted.update(np.moveaxis(cube, 0, axis), axis)
    assert (counted.counts.sum(axis=1) == 3000).all()
    found = counted.ranges(name)
    for channel in range(3):
        alone = Histogram(Range(float(seen.low[channel]), float(seen.high[channel])), 512)
        alone.update(rows[channel])
        chosen = (
            percentile_range(alone, CHANNEL_PERCENTILE)
            if name == "percentile"
            else CHOOSERS[name](alone)
        )
        assert found.low[channel] == np.float32(chosen.low)
        assert found.high[channel] == np.float32(chosen.high)
        assert seen.high[channel] >= found.high[channel] > 0.1 * seen.high[channel]
    assert found.low[3] == found.high[3] == 0


def test_minmax_knows_the_mean_of_scalars_and_channels() -> None:
    observer = MinMax()
    observer.update(np.float32([0, 0]), np.float32([1, 1]), np.array([6.0, 2.0]), 4)
    observer.update(np.float32([0, 0]), np.float32([1, 1]), np.array([2.0, 4.0]), 4)
    # A sum that overflowed is left out.
    observer.update(np.float32([0, 0]), np.float32([1, 1]))
    mean = observer.channels().mean
    assert mean is not None
    np.testing.assert_array_equal(mean, [1.0, 0.75])
    nothing = MinMax()
    nothing.update(np.float32(0), np.float32(1))
    assert nothing.channels().mean is None
