from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from calibration.ranges.collect import collect_moments
from optimize.precision.shared.gptq import error_compensated, expected_error, factor_of
from optimize.precision.shared.quantize import asymmetric_blocks, pack_matmul, quantize_asymmetric
from optimize.precision.weights.calibrated_weights import CalibratedWeights
from optimize.precision.weights.weight_only import WeightOnly
from optimize.recipe_settings import weights_recipe
from tests.optimize.graphs import check, convert, model, normal, ops, run, snr_db
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import save_model

TEXT = """(float[b, t, 80] x) => (float[b, t, 48] y, float[b, t, 48] z) {
 h = MatMul(x, w) a = Relu(h) y = MatMul(a, v) z = MatMul(a, u) }"""
WEIGHTS = {"w": normal(80, 64), "v": normal(64, 48, seed=1), "u": normal(64, 48, seed=2)}
MIXING = normal(6, 80, seed=3)


def correlated(n: int, seed: int) -> np.ndarray:
    """Inputs of few degrees of freedom, and a little noise."""
    return normal(n, 6, seed=seed) @ MIXING + 0.1 * normal(n, 80, seed=seed + 100)


def on_grid(weight: np.ndarray, scales: np.ndarray, zeros: np.ndarray, block: int) -> np.ndarray:
    stored = quantize_asymmetric(weight, scales, zeros, 0, block, 4)[: len(weight)]
    rows = np.arange(len(weight)) // block
    return (stored.astype(np.float32) - zeros[rows]) * scales[rows]


def nearest(weight: np.ndarray, block: int) -> np.ndarray:
    return on_grid(weight, *asymmetric_blocks(weight, 0, block, 4), block)


@pytest.mark.parametrize("block", [32, 64, 128])
def test_errors_cancel_out_on_correlated_inputs(block: int) -> None:
    weight, inputs = WEIGHTS["w"], correlated(400, 5)
    moments = (inputs.T @ inputs).astype(np.float64)
    scales, zeros = asymmetric_blocks(weight, 0, block, 4)
    chosen = error_compensated(weight, factor_of(moments), scales, zeros, block, 4)
    unseen = correlated(200, 9)
    rounded = snr_db(unseen @ weight, unseen @ nearest(weight, block))
    assert snr_db(unseen @ weight, unseen @ chosen) > rounded + 6


def test_every_value_lies_on_the_grid() -> None:
    weight, inputs = WEIGHTS["w"], correlated(100, 5)
    scales, zeros = asymmetric_blocks(weight, 0, 32, 4)
    chosen = error_compensated(
        weight, factor_of(inputs.T @ inputs.astype(np.float64)), scales, zeros, 32, 4
    )
    np.testing.assert_allclose(on_grid(chosen, scales, zeros, 32), chosen, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("block", "bits"), [(16, 4), (64, 4), (32, 8)])
def test_the_error_is_known_before_anything_is_rounded(block: int, bits: Literal[4, 8]) -> None:
    weight, inputs = normal(80, 400), correlated(400, 5) + normal(400, 80, seed=6)
    moments = (inputs.T @ inputs).astype(np.float64)
    factor = factor_of(moments)
    scales, zeros = asymmetric_blocks(weight, 0, block, bits)
    left = error_compensated(weight, factor, scales, zeros, block, bits) - weight
    measured = float((left * (moments @ left)).sum())
    assert expected_error(factor, scales, block) == pytest.approx(measured, rel=0.15)


def test_independent_inputs_leave_nothing_to_make_up_for() -> None:
    weight = WEIGHTS["w"]
    scales, zeros = asymmetric_blocks(weight, 0, 32, 4)
    chosen = error_compensated(weight, factor_of(np.eye(80)), scales, zeros, 32, 4)
    np.testing.assert_allclose(chosen, nearest(weight, 32), rtol=1e-5, atol=1e-6)


def test_inputs_that_never_occur_are_rounded_to_nearest() -> None:
    weight, inputs = WEIGHTS["w"], correlated(100, 5)
    inputs[:, 7] = 0
    scales, zeros = asymmetric_blocks(weight, 0, 32, 4)
    chosen = error_compensated(
        weight, factor_of(inputs.T @ inputs.astype(np.float64)), scales, zeros, 32, 4
    )
    np.testing.assert_allclose(chosen[7], nearest(weight, 32)[7], rtol=1e-5, atol=1e-6)
    nothing = error_compensated(weight, factor_of(np.zeros((80, 80))), scales, zeros, 32, 4)
    np.testing.assert_allclose(nothing, nearest(weight, 32), rtol=1e-5, atol=1e-6)


def test_moments_are_those_of_all_feeds(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save_model(model(TEXT, **WEIGHTS), path)
    feeds = [{"x": correlated(n, n)[None]} for n in (7, 12)]
    found = dict(collect_moments(path, feeds, {"x": 80, "a": 64}))
    rows = np.concatenate([feed["x"][0] for feed in feeds])
    hidden = np.maximum(rows @ WEIGHTS["w"], 0)
    np.testing.assert_allclose(found["x"], rows.T @ rows, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found["a"], hidden.T @ hidden, rtol=1e-3, atol=1)


@pytest.mark.parametrize("block", [32, 64, 128])
def test_a_model_is_closer_than_rounded_to_nearest(tmp_path: Path, block: int) -> None:
    path = tmp_path / "m.onnx"
    save_model(model(TEXT, **WEIGHTS), path)
    feeds = [{"x": correlated(50, seed)[None]} for seed in range(4)]
    unseen = {"x": correlated(50, 50)[None]}
    expected = run(model(TEXT, **WEIGHTS), unseen)
    plain, made = model(TEXT, **WEIGHTS), model(TEXT, **WEIGHTS)
    convert(plain, WeightOnly(4, block, method="asymmetric"))
    done = convert(
        made,
        CalibratedWeights(WeightOnly(4, block, method="asymmetric")),
        moments_of=partial(collect_moments, path, feeds),
    )
    assert done.precision == {"int4": 3}
    assert ops(made) == {"MatMulNBits": 3, "Relu": 1}
    check(made)
    rounded, compensated = run(plain, unseen), run(made, unseen)
    for name in ("y", "z"):
        closer = snr_db(expected[name], compensated[name])
        assert closer > snr_db(expected[name], rounded[name]) + 3


def test_what_is_written_is_what_was_chosen(tmp_path: Path) -> None:
    text = "(float[b, t, 80] x) => (float[b, t, 64] y) { y = MatMul(x, w) }"
    path, feeds = tmp_path / "m.onnx", [{"x": correlated(60, 1)[None]}]
    save_model(model(text, w=WEIGHTS["w"]), path)
    made = model(text, w=WEIGHTS["w"])
    convert(
        made,
        CalibratedWeights(WeightOnly(4, 32, method="asymmetric")),
        moments_of=partial(collect_moments, path, feeds),
    )
    scales, zeros = asymmetric_blocks(WEIGHTS["w"], 0, 32, 4)
    (_, moments), *_ = collect_moments(path, feeds, {"x": 80})
    chosen = error_compensated(WEIGHTS["w"], factor_of(moments), scales, zeros, 32, 4)
    (blob,) = (v for name, v in made.graph.initializers.items() if name.endswith("int4"))
    assert blob.const_value is not None
    np.testing.assert_array_equal(
        blob.const_value.numpy(), pack_matmul(chosen, scales, 32, 4, zeros)
    )


def test_gptq_asks_for_blocks_and_for_feeds(tmp_path: Path) -> None:
    recipe = weights_recipe("4", "64", "gptq", "float")
    assert recipe.needs_calibration
    assert recipe.name == "int4-weights-64-gptq"
    assert not weights_recipe("4", "64", "fitted", "float").needs_calibration
    with pytest.raises(InputError, match="gptq: takes blocks"):
        convert(
            model(TEXT, **WEIGHTS),
            CalibratedWeights(WeightOnly(8, None, method="asymmetric")),
            moments_of=partial(collect_moments, tmp_path / "m.onnx", []),
        )
