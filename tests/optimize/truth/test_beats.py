"""Peaks, times and matching, with numbers worked out by hand."""

import numpy as np
import pytest

from optimize.truth import beats
from optimize.truth.agreement import total


def logits(**at):
    row = np.full(100, -5.0, np.float32)
    for frame, value in at.items():
        row[int(frame[1:])] = value
    return row


def test_peaks_are_local_maxima_at_or_above_even_odds():
    row = logits(f10=2.0, f11=1.0, f40=0.0, f60=-0.01, f80=30.0, f81=40.0)
    assert beats.peaks(row, 0.01).tolist() == [10, 40, 81]
    assert beats.peaks(row, 0.01, threshold=0.7).tolist() == [10, 81]


def test_the_first_and_last_frame_can_be_peaks():
    assert beats.peaks(logits(f0=1.0, f99=1.0), 0.01).tolist() == [0, 99]


def test_a_plateau_counts_once_in_its_middle_and_a_shoulder_not_at_all():
    assert beats.peaks(logits(f10=1.0, f11=1.0, f12=1.0), 0.01).tolist() == [11]
    assert beats.peaks(logits(f10=1.0, f11=1.0, f12=2.0), 0.01).tolist() == [12]


def test_of_close_peaks_the_highest_stays():
    row = logits(f10=1.0, f20=3.0, f35=2.0, f40=2.5)
    assert beats.peaks(row, 0.01).tolist() == [20, 40]
    assert beats.peaks(row, 0.01, min_distance_s=0.15).tolist() == [20, 40]
    assert beats.peaks(row, 0.01, min_distance_s=0.04).tolist() == [10, 20, 35, 40]


def test_broken_and_empty_logits_have_no_peak():
    row = logits(f10=1.0)
    row[50], row[60] = np.nan, np.inf
    assert beats.peaks(row, 0.01).tolist() == [10]
    assert beats.peaks(np.full(9, np.nan), 0.01).tolist() == []
    assert beats.peaks(np.zeros(0), 0.01).tolist() == []


def test_half_precision_logits_are_read():
    assert beats.peaks(logits(f10=2.0).astype(np.float16), 0.01).tolist() == [10]


def test_times_come_from_the_hop():
    for hop, samples in ((256, 110_250), (256, 65_537), (8, 999), (1, 50)):
        frames = -(-samples // hop)
        assert beats.frame_s(samples, frames) == hop / 22_050
    short_s = beats.frame_s(5000, 20) * 20
    assert abs(short_s - 20 * 256 / 22_050) < 256 / 22_050
    rows = np.stack([logits(f10=1.0, f50=1.0), logits(f10=1.0)])
    found = beats.beat_times_s(rows, 0.02)
    np.testing.assert_allclose(found[0], [0.2, 1.0])
    np.testing.assert_allclose(found[1], [0.2])


def test_beats_match_one_to_one_within_20_ms():
    reference = np.array([0.5, 1.0, 1.5, 2.0])
    variant = np.array([0.52, 1.021, 1.49, 1.51, 3.0])
    found = beats.match(reference, variant)
    assert found.reference.tolist() == [True, False, True, False]
    assert found.variant.tolist() == [True, False, True, False, False]
    assert found.recall == 2 / 4
    assert found.precision == 2 / 5
    assert found.f_measure == pytest.approx(2 * 0.5 * 0.4 / 0.9)


def test_matching_finds_the_most_pairs():
    # The nearest pair (0.02 with 0.025) first would leave 0.04 or 0.005 alone.
    found = beats.match(np.array([0.02, 0.04]), np.array([0.005, 0.025]))
    assert found.hits == 2


def test_matching_is_symmetric_on_random_lists():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = (np.sort(rng.uniform(0, 2, n)) for n in (30, 40))
        there, back = beats.match(one, two), beats.match(two, one)
        assert there.hits == back.hits > 0
        assert there.f_measure == back.f_measure


def test_empty_lists_have_no_share():
    none, one = np.zeros(0), np.array([1.0])
    assert beats.match(none, none).f_measure is None
    assert beats.match(none, one).recall is None
    assert beats.match(none, one).f_measure == 0
    assert beats.joined([]).f_measure is None


def test_joined_matches_pool_their_beats_and_the_bootstrap_sees_the_same_share():
    times = (np.array([0.5, 1.0, 9.0]), np.array([0.5, 1.1]))
    one = beats.match(*times)
    two = beats.match(np.array([1.0]), np.array([1.0]))
    assert beats.joined([one, two]).f_measure == 2 * 2 / 7
    share = total([beats.comparison(times, one)])
    assert share.n_positions == 5
    assert share.value == one.f_measure == 2 / 5
