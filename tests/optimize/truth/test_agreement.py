import numpy as np
import pytest

from optimize.truth import agreement
from optimize.truth.agreement import Comparison


def rows(same, counted=None, stratum=0):
    same = np.array(same, bool)
    return Comparison(
        same, np.ones_like(same) if counted is None else np.array(counted, bool), stratum
    )


def test_total_is_the_mean_over_strata_not_over_positions():
    many = rows(np.ones((1, 300)), stratum=9)
    few = rows([[0, 0, 1, 1]], stratum=1)
    found = agreement.total([many, few])
    assert found.value == pytest.approx((1 + 0.5) / 2)
    assert found.n_positions == 304


def test_only_counted_positions_count():
    found = agreement.total([rows([[1, 0, 0]], [[1, 1, 0]])])
    assert found.value == 0.5
    assert found.n_positions == 2
    assert agreement.total([rows([[1, 0]], [[0, 0]])]).value is None
    assert agreement.interval([rows([[1, 0]], [[0, 0]])]) is None


def test_given_earlier_conditions_on_the_cascade():
    same = [[1, 1, 0, 0], [1, 0, 0, 1]]
    shares = agreement.given_earlier([rows(same)])
    assert [s.value for s in shares] == [0.5, 0.5]
    assert [s.n_positions for s in shares] == [4, 2]
    assert [s.value for s in agreement.per_codebook([rows(same)])] == [0.5, 0.5]


def test_the_interval_holds_the_total_and_narrows_with_data():
    rng = np.random.default_rng(0)
    wide = [rows(rng.random((4, 60)) < 0.9)]
    narrow = [rows(rng.random((4, 60)) < 0.9) for _ in range(50)]
    for comparisons in (wide, narrow):
        low, high = agreement.interval(comparisons)
        assert low <= agreement.total(comparisons).value <= high
    spans = [np.diff(agreement.interval(c))[0] for c in (wide, narrow)]
    assert spans[1] < spans[0] / 2
    assert agreement.interval([rows(np.ones((2, 90)))]) == (1, 1)


@pytest.mark.parametrize(("ratio", "stratum"), [(1.0, 9), (0.95, 9), (0.9, 8), (0.1, 0), (0.01, 0)])
def test_mask_ratios_are_grouped_by_tenths(ratio, stratum):
    assert agreement.stratum_of(ratio) == stratum


def test_strata_are_pooled():
    found = agreement.per_stratum([rows([[1, 1]], stratum=3), rows([[0, 0]], stratum=3)])
    assert found[3].value == 0.5


def test_codebook_intervals_hold_their_codebooks_share() -> None:
    rng = np.random.default_rng(0)
    both = [rows(np.stack([rng.random(600) < 0.9, rng.random(600) < 0.4])) for _ in range(3)]
    shares = agreement.per_codebook(both)
    for share, found in zip(shares, agreement.codebook_intervals(both), strict=True):
        assert found is not None and share.value is not None
        low, high = found
        assert low < share.value < high and high - low < 0.1


def test_clips_that_are_known_are_drawn_whole_and_by_their_recordings():
    def row(song, clip, share):
        same = np.arange(600).reshape(1, 600) % 100 < 100 * share
        return Comparison(same, np.ones_like(same), source=(song, clip))

    alike = [row(f"song {i}", "clip", 0.5) for i in range(10)]
    assert agreement.interval(alike) == pytest.approx((0.5, 0.5), abs=0.01)
    apart = [row(f"song {i % 5}", f"clip {i}", i % 5 / 5) for i in range(20)]
    low, high = agreement.interval(apart)
    assert low < 0.2 and high > 0.6
    blocks = agreement.interval([Comparison(c.same, c.counted) for c in apart])
    assert high - low > 2 * (blocks[1] - blocks[0])
    assert agreement.codebook_intervals(apart) == [(low, high)]
    lone_low, lone_high = agreement.interval([row("song", "clip", 0.5)])
    assert lone_low < 0.5 < lone_high
