from pathlib import Path

import numpy as np
import pytest

from calibration.ranges.noise_gains import collect_noise_gains
from tests.optimize.graphs import model, normal
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import save_model

SUM = """(float[n, 40] x) => (float[n, 30] y) {
 a = MatMul(x, w) b = MatMul(x, v) c = Mul(b, tenth) y = Add(a, c) }"""
WEIGHTS = {"w": normal(40, 30), "v": normal(40, 30, seed=1), "tenth": np.float32([0.1])}
FEEDS = [{"x": normal(200, 40, seed=seed)} for seed in (2, 3)]


def test_a_gain_is_the_share_that_a_tensor_has_in_the_outputs(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save_model(model(SUM, **WEIGHTS), path)
    found = collect_noise_gains(path, FEEDS, {"a": ["a"], "b": ["b"], "y": ["y"]})
    x = np.concatenate([feed["x"] for feed in FEEDS])
    a, b = x @ WEIGHTS["w"], x @ WEIGHTS["v"]
    power = np.square(a + b / 10).sum()
    assert found["a"] == pytest.approx(np.square(a).sum() / power, rel=0.05)
    assert found["b"] == pytest.approx(np.square(b / 10).sum() / power, rel=0.05)
    assert found["y"] == pytest.approx(1, rel=0.05)
    assert found == collect_noise_gains(path, FEEDS, {"a": ["a"], "b": ["b"], "y": ["y"]})


def test_a_group_has_the_mean_of_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save_model(model(SUM, **WEIGHTS), path)
    found = collect_noise_gains(path, FEEDS, {"a": ["a"], "b": ["b"], "both": ["a", "b"]})
    assert found["both"] == pytest.approx((found["a"] + found["b"]) / 2, rel=0.05)


def test_of_outputs_that_are_no_floats_the_changed_ones_count(tmp_path: Path) -> None:
    text = """(float[n, 40] x) => (int64[n] y) {
     a = MatMul(x, w) y = ArgMax <axis = -1, keepdims = 0> (a) }"""
    path = tmp_path / "m.onnx"
    save_model(model(text, w=WEIGHTS["w"]), path)
    assert 0 < collect_noise_gains(path, FEEDS, {"a": ["a"]})["a"] < 1000


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save_model(model(SUM, **WEIGHTS), path)
    with pytest.raises(InputError, match="has no tensor z; give names of its main graph"):
        collect_noise_gains(path, FEEDS, {"z": ["z"]})
    with pytest.raises(InputError, match="no calibration samples"):
        collect_noise_gains(path, [], {"a": ["a"]})
