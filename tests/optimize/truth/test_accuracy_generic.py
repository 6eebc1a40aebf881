"""Answers of any kind compared: shapes, types and values that no family promises."""

import numpy as np
import pytest

from optimize.truth.accuracy_generic import generic_report, newly_nonfinite


def report(own, variant, floor=None):
    return generic_report(None, [own], [floor or own], [variant])


def test_floats_choose_by_the_last_axis_and_integers_are_equal():
    own = {"logits": np.eye(4, dtype=np.float32), "ids": np.arange(4)}
    other = {"logits": np.roll(own["logits"], 1, axis=0), "ids": np.arange(4)}
    found = report(own, other)
    assert (found.token_agreement, found.n_positions) == (0.5, 8)
    assert found.floor == 1


@pytest.mark.parametrize("values", [np.float32(2), np.ones(5, "f4"), np.ones((5, 1), "f4")])
def test_numbers_that_are_no_choice_are_judged_by_their_distance(values):
    found = report({"y": np.asarray(values)}, {"y": np.asarray(values) * np.float32(1.001)})
    assert found.token_agreement is None
    assert found.snr_db == pytest.approx(60, abs=1)


def test_an_answer_of_another_shape_agrees_nowhere_and_is_named():
    found = report({"i": np.arange(4)}, {"i": np.arange(5)})
    assert found.token_agreement == 0
    assert "i [4] became [5], for 1 of 1 feeds" in found.notes
    gone = report({"s[0]": np.arange(2), "s[1]": np.arange(3)}, {"s[0]": np.arange(2)})
    assert gone.token_agreement == pytest.approx(0.4)
    assert "s[1] [3] became nothing, for 1 of 1 feeds" in gone.notes


def test_strings_and_booleans():
    own = {"s": np.array(["a", "b"], object), "b": np.array([True, False])}
    found = report(own, {"s": np.array(["a", "c"], object), "b": np.array([True, False])})
    assert (found.token_agreement, found.n_positions) == (0.75, 4)


def test_empty_answers_are_said_to_be_empty():
    empty = {"y": np.zeros((0, 7), np.float32), "i": np.zeros(0, np.int64)}
    found = report(empty, empty)
    assert (found.token_agreement, found.snr_db, found.nonfinite) == (None, None, 0)
    assert found.notes == ("its answers are empty: nothing to compare",)


def test_only_new_nan_and_infinity_count():
    own = np.array([1, np.nan, np.inf, 2], np.float32)
    assert newly_nonfinite(own, own) == 0
    assert newly_nonfinite(own, np.array([np.nan, np.nan, -np.inf, 2], np.float32)) == 2
    found = report({"y": own}, {"y": own})
    assert (found.nonfinite, found.snr_db) == (0, 150)
