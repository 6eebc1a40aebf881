import numpy as np
import pytest

from vampnet_models.architectures.transformer import MAX_DISTANCE, position_buckets
from vampnet_models.repair.free_constants import free_constant, sinusoids
from vampnet_models.shapes.two_lengths import Refused, reshaped


def t5(length, heads=3, seed=0):
    table = np.random.default_rng(seed).standard_normal((32, heads)).astype(np.float32)
    offsets = np.arange(length)[None] - np.arange(length)[:, None]
    clipped = np.clip(offsets, -MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE
    return table[position_buckets()[clipped]].transpose(2, 0, 1)[None]


@pytest.mark.parametrize(("length", "longest"), [(60, 60), (80, 80), (91, 91), (100, None)])
def test_a_t5_bias_reaches_further_only_when_its_last_bucket_was_seen(length, longest):
    found = free_constant(t5(length), (2, 3), length)
    assert found.longest == longest
    assert found.values.shape == (1, 3, 2 * length - 1)
    if longest is None:
        offsets = np.arange(300)[None] - np.arange(300)[:, None]
        index = np.clip(offsets, 1 - length, length - 1) + length - 1
        np.testing.assert_array_equal(found.values[..., index], t5(300))


def test_a_clipped_bias_reaches_further_and_one_of_distances_does_not():
    offsets = np.arange(100)[None] - np.arange(100)[:, None]
    clipped = np.clip(offsets, -16, 16).astype(np.float32)
    assert free_constant(clipped, (0, 1), 100).longest is None
    assert free_constant(offsets.astype(np.float32), (0, 1), 100).longest == 100


def test_a_bias_of_places_is_refused():
    values = np.random.default_rng(0).standard_normal((8, 8))
    with pytest.raises(Refused, match="more than their distance"):
        free_constant(values, (0, 1), 8)


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_sinusoidal_positions_go_on_by_their_formula(form, scale):
    whole = (scale * sinusoids(2048, 12)[form]).astype(np.float32)
    found = free_constant(whole[None, :100], (1,), 100)
    assert found.longest == 2048
    np.testing.assert_array_equal(found.values[0, :100], whole[:100])
    np.testing.assert_allclose(found.values[0], whole, atol=1e-5)


def test_learned_positions_end_where_the_table_ends():
    values = np.random.default_rng(0).standard_normal((1, 20, 6)).astype(np.float32)
    found = free_constant(values, (1,), 20)
    assert (found.longest, found.axes) == (20, (1,))


def test_a_constant_that_is_the_same_everywhere_needs_no_length():
    found = free_constant(np.full((1, 4, 9), 7), (2,), 9)
    assert found.axes == ()
    assert found.values.shape == (1, 4, 1)


@pytest.mark.parametrize(
    ("own", "target", "wanted"),
    [
        ((1, 100, 12), (1, 100, 3, 4), (1, 97, 3, 4)),
        ((1, 100, 12), (100, 12), (97, 12)),
        ((1, 2, 100, 6), (1, 200, 6), (1, 194, 6)),
        ((1, 100, 12), (100, 1, 3, 4), (97, 1, 3, 4)),
        ((1, 100, 100), (1, 100, 10, 10), (1, 97, 10, 10)),
        ((2, 100, 50), (100, 100), None),
    ],
)
def test_the_time_of_a_reshape_is_found_by_groups_of_equal_size(own, target, wanted):
    other = tuple(97 if axis == own.index(100) else d for axis, d in enumerate(own))
    assert reshaped(own, other, target, 100, 97) == wanted
