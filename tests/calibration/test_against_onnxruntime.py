"""Our ranges beside those of onnxruntime's calibrators: where they are right, and where not."""

from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization.calibrate import (
    CalibraterBase,
    CalibrationDataReader,
    EntropyCalibrater,
    MinMaxCalibrater,
    PercentileCalibrater,
)

from calibration.ranges.observers import Histogram, Range, percentile_range
from tests.calibration.ranges.test_collect import feeds_of, truth, write_model
from tests.calibration.whole_ranges import collect_ranges
from vampnet_models.onnxfile.session import Feeds

TENSORS = ["x", "conv", "tanh"]


class Reader(CalibrationDataReader):
    def __init__(self, feeds: list[Feeds]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self.feeds, None)


def theirs(calibrator: CalibraterBase, feeds: list[Feeds]) -> dict[str, tuple[float, float]]:
    calibrator.augment_graph()
    calibrator.create_inference_session()
    calibrator.collect_data(Reader(feeds))
    ends = {name: data.range_value for name, data in calibrator.compute_data().items()}
    return {name: (low.item(), high.item()) for name, (low, high) in ends.items()}


def places(tmp_path: Path) -> tuple[Path, dict]:
    path = write_model(tmp_path / "m.onnx")
    return path, {"augmented_model_path": str(tmp_path / "augmented.onnx")}


def test_minmax_is_the_same(tmp_path: Path) -> None:
    path, where = places(tmp_path)
    feeds = feeds_of((20, 20, 20))
    found = theirs(MinMaxCalibrater(path, ["Conv", "Tanh"], **where), feeds)
    for name, ours in collect_ranges(path, feeds, TENSORS).items():
        low, high = found[name]
        assert ours.low == pytest.approx(low, rel=1e-6)
        assert ours.high == pytest.approx(high, rel=1e-6)


def test_minmax_with_bounded_outputs_drops_batches_there_and_none_here(tmp_path: Path) -> None:
    """`CalibMaxIntermediateOutputs` of quantize_static: outputs are cleared, not taken in."""
    path, where = places(tmp_path)
    feeds = feeds_of((20,) * 5)
    feeds[0]["x"][0, 0, 4] = 1000.0
    bounded = MinMaxCalibrater(path, ["Conv", "Tanh"], max_intermediate_outputs=2, **where)
    assert theirs(bounded, feeds)["x"][1] < 100
    assert collect_ranges(path, feeds, TENSORS)["x"].high == 1000.0


def test_percentile_is_the_same_within_a_bin(tmp_path: Path) -> None:
    path, where = places(tmp_path)
    feeds = feeds_of((4000, 4000))
    calibrator = PercentileCalibrater(path, ["Conv"], num_bins=2048, percentile=99.0, **where)
    low, high = theirs(calibrator, feeds)["conv"]
    values = truth(path, feeds)
    histogram = Histogram(Range(float(values.min()), float(values.max())))
    histogram.update(values.astype(np.float32))
    ours = percentile_range(histogram, 99.0)
    width = 2 * max(abs(values.min()), abs(values.max())) / 2048
    # Theirs grows its bins with the first batch's width, so its edges lie elsewhere.
    assert ours.low == pytest.approx(low, abs=4 * width)
    assert ours.high == pytest.approx(high, abs=4 * width)


@pytest.mark.parametrize(
    ("calibrator", "observer"),
    [(PercentileCalibrater, "percentile"), (EntropyCalibrater, "entropy")],
)
def test_histograms_of_other_lengths_fail_there_and_not_here(
    tmp_path: Path, calibrator: type[CalibraterBase], observer: str
) -> None:
    path, where = places(tmp_path)
    feeds = feeds_of((300, 41))
    with pytest.raises(ValueError, match="inhomogeneous"):
        theirs(calibrator(path, ["Conv"], **where), feeds)
    ours = collect_ranges(path, feeds, ["conv"], observer)["conv"]
    values = truth(path, feeds)
    assert values.min() - 1e-3 <= ours.low < 0 < ours.high <= values.max() + 1e-3
