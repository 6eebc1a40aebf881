import numpy as np
import pytest

from optimize.precision.shared.quantize import (
    Bits,
    block_scales,
    pack_matmul,
    per_channel_scales,
    quantize_blocks,
    quantize_per_channel,
)
from tests.optimize.graphs import dequantize, normal, snr_db


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_channel_uses_the_whole_range_and_errs_half_a_step_at_most(axis: int) -> None:
    weight = normal(6, 5, 4) * np.float32([1, 10, 100, 0.1])
    scales = per_channel_scales(weight, axis)
    values = quantize_per_channel(weight, scales, axis)
    others = tuple(i for i in range(3) if i != axis)
    assert (np.abs(values).max(axis=others) == 127).all()
    error = np.abs(dequantize(values, scales, axis) - weight).max(axis=others)
    assert (error <= scales / 2 * 1.001).all()


def test_an_all_zero_channel_stays_zero_and_finite() -> None:
    weight = np.zeros((3, 8), np.float32)
    scales = per_channel_scales(weight, 0)
    assert (quantize_per_channel(weight, scales, 0) == 0).all()
    blocks = block_scales(weight, 1, 4, 4)
    assert np.isfinite(blocks).all()
    assert (quantize_blocks(weight, blocks, 1, 4, 4) == 0).all()


@pytest.mark.parametrize(("bits", "least_db"), [(8, 44.0), (4, 19.0)])
@pytest.mark.parametrize("length", [64, 50])
def test_blocks_along_any_axis(bits: Bits, least_db: float, length: int) -> None:
    weight = normal(5, length, 3)
    scales = block_scales(weight, 1, 16, bits)
    assert scales.shape == (5, 4, 3)
    values = quantize_blocks(weight, scales, 1, 16, bits)
    assert values.shape == weight.shape
    assert values.min() >= -(2 ** (bits - 1))
    assert values.max() < 2 ** (bits - 1)
    assert snr_db(weight, dequantize(values, scales, 1, block=16)) > least_db


def test_four_bits_take_the_better_of_both_scales() -> None:
    weight = normal(64, 32)
    scales = block_scales(weight, 0, 32, 4)
    blocks = weight.reshape(2, 32, 32)
    even = np.abs(blocks).max(axis=1) / 7

    def error(candidate: np.ndarray) -> float:
        values = quantize_blocks(weight, candidate.astype(np.float32), 0, 32, 4)
        restored = dequantize(values, candidate.astype(np.float32), 0, block=32)
        return float(np.square(restored - weight).sum())

    assert error(scales) < error(even)


def test_packed_nibbles_are_low_half_first() -> None:
    weight = np.array([[-8], [-7], [0], [7]], np.float32)
    packed = pack_matmul(weight, np.ones((1, 1), np.float32), 4, 4)
    assert packed.shape == (1, 1, 2)
    assert packed.reshape(-1).tolist() == [0 | (1 << 4), 8 | (15 << 4)]
