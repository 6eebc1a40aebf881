"""Answers of any kind compared: shapes, types and values that no family promises."""

import numpy as np
import pytest

from optimize.truth.accuracy_generic import generic_report, newly_nonfinite
from optimize.truth.status import Bounds, status_of
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.spec import ModelSpec, Role

NO_FORM = ModelSpec(Role.GENERIC, (), (), 21)


def report(own, variant, floor=None, feed=None):
    """Of one sample, or of several given as lists."""
    owns, variants = (each if isinstance(each, list) else [each] for each in (own, variant))
    feeds = [feed or {}] * len(owns)
    return generic_report(NO_FORM, feeds, owns, [floor] * len(owns) if floor else owns, variants)


def of(found: AccuracyReport, name: str):
    return next(each for each in found.per_output if each.name == name)


def test_every_output_is_judged_by_itself_and_the_worst_one_heads_the_report():
    own = {"logits": np.eye(4, dtype=np.float32), "ids": np.arange(4)}
    other = {"logits": np.roll(own["logits"], 1, axis=0), "ids": np.arange(4)}
    found = report(own, other)
    assert (found.token_agreement, found.n_positions) == (0, 4)
    assert (of(found, "ids").agreement, of(found, "ids").snr_db) == (1, None)
    assert found.floor == 1
    assert found.notes == (
        "judged by the choice (argmax over the classes): logits; judged by equality: ids",
    )
    status, reason = status_of(report(own, {**own, "ids": np.arange(4) + 1}), Bounds(0.9))
    assert status == "missed" and "token agreement of ids 0.0000" in reason


@pytest.mark.parametrize("values", [np.float32(2), np.ones(5, "f4"), np.ones((5, 1), "f4")])
def test_numbers_that_are_no_choice_are_judged_by_their_distance(values):
    found = report({"y": np.asarray(values)}, {"y": np.asarray(values) * np.float32(1.001)})
    assert found.token_agreement is None
    assert found.snr_db == pytest.approx(60, abs=1)
    assert found.notes == ("judged by its SQNR: y",)


def test_a_zeroed_output_is_lost_whatever_the_others_say():
    state = np.random.default_rng(0).standard_normal((2, 1, 8)).astype("f4")
    own = [{"p": np.full((1, 1), 0.1 * i, "f4"), "stateN": state + i} for i in range(4)]
    zeroed = [{**each, "p": each["p"] * 0} for each in own]
    found = report(own, zeroed, feed={"state": state})
    assert (of(found, "p").snr_db, found.snr_db) == (0, 0)
    assert of(found, "stateN").agreement is None and of(found, "stateN").snr_db == 150
    assert found.notes[0] == "judged by their SQNR: p, stateN (as state)"
    for asked in (None, 0.5):
        status, reason = status_of(found, Bounds(asked))
        assert status == "missed" and reason.startswith("p is lost: an SQNR of 0.0 dB")
    assert status_of(report(own, own, feed={"state": state})) == ("ok", None)


def test_power_is_pooled_over_samples_and_the_worst_is_named():
    quiet, loud = np.full(100, 0.01, "f4"), np.ones(100, "f4")
    own = [{"y": np.zeros(100, "f4")}, {"y": quiet}, {"y": loud}]
    found = report(own, [{"y": each["y"] + np.float32(0.005)} for each in own])
    assert found.snr_db == pytest.approx(10 * np.log10(1.0001 / 75e-6), abs=0.01)
    row = of(found, "y")
    assert (row.worst_sample, row.worst_snr_db) == (1, pytest.approx(6.02, abs=0.01))
    assert status_of(found)[0] == "ok"


def test_zeros_are_equal_or_not_and_denormals_are_zero():
    zero, least = np.zeros(4, "f4"), np.full(4, 1e-42, "f4")
    assert report({"y": zero}, {"y": zero}).snr_db == 150
    assert report({"y": least}, {"y": zero}).snr_db == 150
    assert status_of(report({"y": zero}, {"y": zero + 1}))[0] == "missed"


def test_what_the_reference_itself_is_unsure_of_is_not_lost():
    own = {"y": np.ones(4, "f4")}
    found = report(own, {"y": -own["y"]}, floor={"y": own["y"] * 2})
    assert of(found, "y").floor_snr_db == 0
    assert status_of(found) == ("ok", None)


@pytest.mark.parametrize(
    ("given", "chooses"),
    [
        (np.zeros((1, 2, 3, 8), "f4"), False),  # the same form
        (np.zeros((1, 2, 2, 8), "f4"), False),  # a cache that grew by a step
        (np.zeros((1, 2, 3, 7), "f4"), True),
        (np.zeros((1, 2, 3, 8), "f8"), True),
        (np.zeros((2, 3, 8), "f4"), True),
    ],
)
def test_an_output_of_an_inputs_form_is_a_number(given, chooses):
    own = {"y": np.random.default_rng(0).standard_normal((1, 2, 3, 8)).astype("f4")}
    found = report(own, own, feed={"x": given})
    assert (found.token_agreement == 1) is chooses
    assert found.snr_db == 150


def test_an_answer_of_another_shape_agrees_nowhere_and_is_named():
    found = report({"i": np.arange(4)}, {"i": np.arange(5)})
    assert found.token_agreement == 0
    assert "i [4] became [5], for 1 of 1 feeds" in found.notes
    gone = report({"s[0]": np.arange(2), "s[1]": np.arange(3)}, {"s[0]": np.arange(2)})
    assert gone.token_agreement == pytest.approx(0.4)
    assert [each.name for each in gone.per_output] == ["s"]
    assert "s[1] [3] became nothing, for 1 of 1 feeds" in gone.notes
    missing = report({"y": np.ones(4, "f4")}, {})
    assert status_of(missing)[0] == "missed"


def test_strings_and_booleans():
    own = {"s": np.array(["a", "b"], object), "b": np.array([True, False])}
    found = report(own, {"s": np.array(["a", "c"], object), "b": np.array([True, False])})
    assert (found.token_agreement, found.n_positions) == (0.5, 2)
    assert of(found, "b").agreement == 1


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
