"""Intervals by recordings, then clips: against a slow one, and what they must not do."""

import numpy as np
import pytest

from optimize.truth.bootstrap import Part, figure_of


def parts_of(n_recordings, n_clips, value, count=100, **more):
    """`value(recording, clip)` is the mean over each clip's positions."""
    return [
        Part(f"song {r}", f"clip {c}", value(r, c) * count, count, **more)
        for r in range(n_recordings)
        for c in range(n_clips)
    ]


def test_the_interval_is_that_of_drawing_recordings_and_then_clips():
    rng = np.random.default_rng(3)
    values = rng.random((6, 4))
    found = figure_of(parts_of(6, 4, lambda r, c: values[r, c]))
    slow = []
    for _ in range(4000):
        chosen = rng.integers(0, 6, 6)
        slow.append(np.mean([values[r, rng.integers(0, 4, 4)].mean() for r in chosen]))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.02)
    assert found.n == 2400 and found.n_clips == 24
    assert found.per_recording["song 2"] == pytest.approx(values[2].mean())


def test_recordings_that_differ_widen_the_interval_however_many_clips_they_have():
    few, many = (figure_of(parts_of(5, n, lambda r, c: r % 2)) for n in (4, 400))
    assert many.high - many.low > 0.9 * (few.high - few.low) > 0.5


def test_what_lies_in_one_clip_is_drawn_together():
    whole = parts_of(6, 4, lambda r, c: c % 2)
    states = [part for part in whole for _ in range(50)]
    assert figure_of(states).low == figure_of(whole).low


def test_clips_of_one_name_in_two_recordings_are_two():
    assert figure_of(parts_of(3, 4, lambda r, c: 1)).n_clips == 12


def test_the_value_is_the_mean_over_strata_not_over_positions():
    many = parts_of(5, 4, lambda r, c: 1, count=300, stratum=9)
    few = parts_of(5, 4, lambda r, c: 0.5, count=4, stratum=1)
    found = figure_of([*many, *few], floor=many, by_ratio=True)
    assert found.value == pytest.approx(0.75)
    assert found.floor == 1
    assert found.per_mask_ratio == {"0.2": 0.5, "1.0": 1}
    assert figure_of(many).per_mask_ratio == {}


def test_a_stratum_of_one_recording_alone_leaves_every_resample_a_value():
    alone = Part("song 0", "clip 0", 0, 10, stratum=3)
    found = figure_of([*parts_of(5, 4, lambda r, c: 1, stratum=9), alone])
    assert (found.value, found.low, found.high) == (0.5, 0.5, 1)


def test_a_paired_difference_may_be_negative_and_its_interval_holds_zero():
    rng = np.random.default_rng(0)
    found = figure_of(parts_of(8, 4, lambda r, c: rng.normal(-0.001, 0.01)))
    assert found.low < 0 < found.high
    assert found.low < found.value < found.high


def test_codebooks_are_told_apart_in_the_order_of_their_numbers():
    books = [
        part for book in (2, 10) for part in parts_of(5, 4, lambda r, c, b=book: b, codebook=book)
    ]
    assert figure_of(books).per_codebook == {"2": 2, "10": 10}
    assert figure_of(parts_of(5, 4, lambda r, c: 1)).per_codebook == {}


def test_without_positions_there_is_no_value():
    found = figure_of([Part("song", "clip", 0, 0)])
    assert found.value is None and found.low is None and not found.can_tell


@pytest.mark.parametrize(
    ("recordings", "clips", "said"),
    [
        (2, 4, "cannot tell: 2 recordings and 8 clips; it needs 3 recordings and 12 clips more"),
        (4, 10, "cannot tell: 4 recordings and 40 clips; it needs 1 recording more"),
        (19, 1, "cannot tell: 19 recordings and 19 clips; it needs 1 clip more"),
        (5, 4, None),
    ],
)
def test_of_few_recordings_or_clips_it_cannot_tell_and_says_what_it_needs(recordings, clips, said):
    found = figure_of(parts_of(recordings, clips, lambda r, c: 1))
    assert found.value == found.low == 1
    assert found.cannot_tell == said
    assert found.can_tell is (said is None)


def test_the_same_parts_give_the_same_interval():
    rng = np.random.default_rng(1)
    parts = parts_of(6, 4, lambda r, c: rng.random())
    assert figure_of(parts) == figure_of(parts[::-1])
