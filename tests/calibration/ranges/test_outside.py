from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.ranges.collect import collect_channel_ranges
from calibration.ranges.observers import ChannelRange
from calibration.ranges.outside import shares_outside
from tests.calibration.ranges.test_collect import feeds_of, truth, write_model
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.spec import IR_VERSION, OPSET

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


@pytest.mark.parametrize("axis", [1, -1])
def test_channels_of_a_tensor_without_a_known_rank(tmp_path: Path, axis: int) -> None:
    """An input without a shape, as some exporters write it."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT))
    negated = ir.node("Neg", [x])
    negated.outputs[0].name, negated.outputs[0].type = "y", x.type
    graph = ir.Graph([x], negated.outputs, nodes=[negated], opset_imports={"": OPSET})
    path = tmp_path / "m.onnx"
    save_model(ir.Model(graph, ir_version=IR_VERSION), path)
    rng = np.random.default_rng(0)
    shapes = ((2, 4, 3, 4), (1, 4, 4), (3, 4))
    feeds: list[Feeds] = [{"x": rng.standard_normal(s, np.float32)} for s in shapes]
    columns = [-np.moveaxis(f["x"], axis, 0).reshape(4, -1) for f in feeds]
    seen = collect_channel_ranges(path, feeds, {"y": axis})["y"]
    np.testing.assert_array_equal(seen.low, np.min([c.min(1) for c in columns], axis=0))
    np.testing.assert_array_equal(seen.high, np.max([c.max(1) for c in columns], axis=0))
    narrow = ChannelRange(np.full(4, -1, np.float32), np.full(4, 1, np.float32))
    (found,) = shares_outside(path, feeds, {"y": narrow}, {"y": axis})
    n_beyond = sum(int((np.abs(c) > 1).sum()) for c in columns)
    assert found.share == pytest.approx(n_beyond / sum(c.size for c in columns), abs=1e-6)
