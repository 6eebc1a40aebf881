"""The distance of two collections, against the sum by hand and where it is known."""

import numpy as np
import pytest

from calibration.feeds.evidence import Place
from optimize.truth.song.mmd import bandwidth, mmd, pair_terms

PLACES = [Place(f"song {i // 4}", f"clip {i}", 0) for i in range(24)]


def vectors(seed, shift=0.0):
    return np.random.default_rng(seed).standard_normal((24, 6)) + shift


def test_it_is_the_unbiased_estimate_of_the_paper():
    x, y, sigma = vectors(0), vectors(1, 0.5), 2.0

    def kernel(a, b):
        return np.exp(-((a - b) ** 2).sum() / (2 * sigma**2))

    pairs = [
        kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
        for i in range(24)
        for j in range(24)
        if i != j
    ]
    found = mmd(pair_terms(x, y, sigma), PLACES, floor=0.25)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low < found.value < found.high and found.floor == 0.25
    assert found.can_tell and found.n_clips == 24 and len(found.per_recording) == 6


def test_equal_distributions_lie_at_zero_and_others_do_not():
    near = mmd(pair_terms(vectors(0), vectors(1), 3.0), PLACES)
    far = mmd(pair_terms(vectors(0), vectors(1, 2.0), 3.0), PLACES)
    assert near.low < 0 < near.high < far.low
    same = mmd(pair_terms(vectors(0), vectors(0), 3.0), PLACES)
    assert same.value == same.low == same.high == 0


def test_pieces_of_one_place_are_no_pair():
    x, y = vectors(0), vectors(1)
    twice = mmd(pair_terms(np.tile(x, (2, 1)), np.tile(y, (2, 1)), 2.0), PLACES * 2)
    once = mmd(pair_terms(x, y, 2.0), PLACES)
    assert twice.value == pytest.approx(once.value) and twice.n_clips == 24 and twice.n == 48
    assert mmd(pair_terms(x[:2], y[:2], 2.0), [PLACES[0]] * 2).value is None


def test_the_bandwidth_is_the_median_distance():
    line = np.array([[0.0], [1.0], [3.0]])
    assert bandwidth(line) == 2.0
    assert bandwidth(np.zeros((3, 1))) == 1.0
