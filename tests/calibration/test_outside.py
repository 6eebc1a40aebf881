from pathlib import Path

import numpy as np
import pytest

from calibration.collect import collect_channel_ranges
from calibration.outside import shares_outside
from tests.calibration.test_collect import feeds_of, truth, write_model

AXES: dict[str, int | None] = {"x": None, "conv": 1, "nothing": None}


def test_shares_are_those_of_numpy(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    ranges = collect_channel_ranges(path, feeds_of((50, 400)), AXES)
    louder = feeds_of((300, 90), scale=1.5)
    found = {o.tensor: o.share for o in shares_outside(path, louder, ranges, AXES)}
    assert set(found) == {"x", "conv"}
    conv, seen = truth(path, louder), ranges["conv"]
    outside = (conv < np.reshape(seen.low, (-1, 1))) | (conv > np.reshape(seen.high, (-1, 1)))
    assert found["conv"] == pytest.approx(outside.mean(), abs=1e-3)
    everything = np.concatenate([f["x"].reshape(-1) for f in louder])
    beyond = (everything < ranges["x"].low) | (everything > ranges["x"].high)
    assert found["x"] == pytest.approx(beyond.mean(), abs=1e-6)


def test_calibration_audio_lies_inside(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    feeds = feeds_of((50, 400))
    ranges = collect_channel_ranges(path, feeds, AXES)
    assert shares_outside(path, feeds, ranges, AXES, least_share=0.0)[0].share == 0
    assert shares_outside(path, feeds, ranges, AXES) == ()
    assert shares_outside(path, feeds, {}, {}) == ()
