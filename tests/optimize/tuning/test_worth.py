"""What a search was worth: values in JSON, a sentence beside them."""

from __future__ import annotations

import pytest

from optimize.truth.grades import Judgement
from optimize.tuning.search import Budget, ModelSet
from optimize.tuning.worth import reverted, verdict
from vampnet_models.records.tuning import Candidate, Missed


def one(recipe: str, size: int, *, loss: float = 0.01, uniform: bool = True) -> ModelSet:
    return ModelSet((Candidate("m", recipe, size, loss, 1 - loss, None, 1.0, 1.0, uniform),))


def test_the_verdict_compares_with_the_best_uniform_recipe() -> None:
    tuned, fp16 = one("tuned-1", 200, uniform=False), one("fp16", 300)
    better = verdict(tuned, fp16, "smallest")
    assert (better.code, better.measure) == ("tuned-better", "bytes")
    assert (better.recipe, better.chosen, better.uniform) == ("fp16", 200, 300)
    assert "smaller than the best single recipe" in better.text
    same = verdict(fp16, fp16, "smallest")
    assert same.code == "uniform" and same.text.startswith("None is better than fp16")
    alone = verdict(tuned, None, "smallest")
    assert (alone.code, alone.uniform) == ("tuned-alone", None) and "tuned set does" in alone.text
    none = verdict(None, None, "smallest")
    assert (none.code, none.text) == ("none", "No set of these candidates meets the budget.")


@pytest.mark.parametrize(
    ("prefer", "measure", "said"),
    [("fastest", "latency", "faster"), ("truest", "loss", "truer")],
)
def test_the_verdict_is_about_what_was_sought(prefer, measure, said) -> None:
    tuned = ModelSet((Candidate("m", "tuned-1", 200, 0.01, 0.99, None, 0.5, 1.0, False),))
    found = verdict(tuned, one("fp16", 200, loss=0.02), prefer)
    assert (found.code, found.measure) == ("tuned-better", measure)
    assert found.chosen is not None and found.uniform is not None
    assert found.chosen < found.uniform and said in found.text


def test_what_is_dropped_names_the_bounds_that_it_missed() -> None:
    part = Candidate("e", "int8", 10, 0.03, 0.97, None, 1.0, 1.0, True, first_agreement=0.985)
    found = reverted(part, Budget(0.96, None, max_bytes=1, min_first_agreement=0.99))
    assert found is not None
    assert (found.model, found.recipe, found.agreement) == ("e", "int8", 0.97)
    assert found.missed == (Missed("min_first_agreement", 0.99, 0.985),)
    assert found.text == "e int8: 97.00 % (98.50 % of the first four) on held-out data"
    assert reverted(part, Budget(0.96, 30.0)) is None


def test_sound_that_is_dropped_says_its_decibels() -> None:
    part = Candidate("d", "int8", 10, 0.01, None, 20.0, 1.0, 1.0, True)
    found = reverted(part, Budget(min_agreement=0.99, min_si_sdr_db=30.0))
    assert found is not None
    assert found.missed == (Missed("min_si_sdr_db", 30.0, 20.0),)
    assert found.text == "d int8: 20.0 dB on held-out data"


def test_what_the_best_lacks_stands_in_place_of_a_set() -> None:
    found = verdict(None, None, "smallest", "the best found is m fp16; m: may cost 0.02")
    assert found.code == "none"
    assert found.text.endswith("what was asked for: the best found is m fp16; m: may cost 0.02.")


def test_what_cannot_be_shown_is_dropped_with_its_reason() -> None:
    (part,) = one("tuned-1", 9).parts
    few = Judgement("cannot-tell", "cannot tell: 2 recordings and 8 clips")
    dropped = reverted(part, Budget(), few)
    assert dropped is not None and dropped.missed == ()
    assert dropped.text == "m tuned-1: cannot tell: 2 recordings and 8 clips"
    assert reverted(part, Budget(), Judgement("holds", "no cost above 0.001")) is None
