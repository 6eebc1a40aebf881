"""Losses and bounds of what was measured, by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from optimize.tuning.goal import SearchGoal, damage_power, excess, first_agreement, loss_of
from profiles.place import cpu
from tests.optimize.truth.test_grades import codec, figure, transformer
from vampnet_models.records.accuracy import AccuracyReport, CodebookShare
from vampnet_models.spec import ModelSpec, Role

ENCODER, DECODER, COARSE = (
    ModelSpec(role, (), (), 21) for role in (Role.CODEC_ENCODER, Role.CODEC_DECODER, Role.COARSE)
)


ROWS = ((0, 1.0, 30), (3, 0.9, 10), (4, 0.1, 99), (2, None, 5))


def measured(**given: Any) -> AccuracyReport:
    """An accuracy record of which a test gives what it is about."""
    rows = tuple(CodebookShare(book, share, None, None, n) for book, share, n in ROWS)
    return AccuracyReport(**{"per_codebook": rows, **given})


def goal(**asked: Any) -> SearchGoal:
    """What a test asks for, and nothing else."""
    none = dict.fromkeys(("min_agreement", "min_si_sdr_db", "max_bytes", "max_latency"))
    return SearchGoal(**{**none, "prefer": "smallest", "target": cpu(), **asked})


@pytest.mark.parametrize(
    ("given", "loss"),
    [
        ({"token_agreement": 0.75, "snr_db": 3.0}, 0.25),
        ({"si_sdr_db": 20.0, "snr_db": 3.0}, 0.01),
        ({"snr_db": 30.0}, 0.001),
        ({}, 0.0),
    ],
)
def test_a_loss_is_of_tokens_or_else_of_sound(given: dict[str, float], loss: float) -> None:
    assert loss_of(COARSE, measured(**given), goal()) == pytest.approx(loss)


def test_the_first_codebooks_are_weighed_by_their_positions() -> None:
    assert first_agreement(ENCODER, measured()) == pytest.approx((30 + 9) / 40)
    assert first_agreement(ENCODER, measured(per_codebook=())) is None
    assert first_agreement(COARSE, measured()) is None


@pytest.mark.parametrize(
    ("spec", "given", "asked", "found"),
    [
        (COARSE, {"token_agreement": 0.98}, {"min_agreement": 0.99}, 2.0),
        (COARSE, {"token_agreement": 0.98}, {"min_agreement": 0.9}, 0.2),
        (COARSE, {"token_agreement": 0.98}, {"min_agreement": 1.0}, math.inf),
        (COARSE, {"token_agreement": 0.98}, {"min_si_sdr_db": 30.0}, None),
        (COARSE, {"token_agreement": 0.98, "nonfinite": 1}, {"min_agreement": 0.9}, math.inf),
        (
            ENCODER,
            {"token_agreement": 0.98},
            {"min_agreement": 0.9, "min_first_agreement": 0.99},
            pytest.approx(2.5),
        ),
        (DECODER, {"si_sdr_db": 20.0}, {"min_agreement": 0.99, "min_si_sdr_db": 30.0}, 10.0),
        (DECODER, {"si_sdr_db": 40.0}, {"min_si_sdr_db": 30.0}, pytest.approx(0.1)),
    ],
)
def test_the_tightest_bound_says_by_how_much_it_is_missed(
    spec: ModelSpec, given: dict[str, float], asked: dict[str, float], found: float | None
) -> None:
    excess_ = excess(spec, measured(**given), goal(**asked))
    assert excess_ == (pytest.approx(found) if isinstance(found, float) else found)


DEAR = transformer(cost_nats=figure(0.006, 0.0, 0.02), sampled_agreement=figure(0.995, 0.99, 0.999))
LOUD = codec(cost_log_mel_db=figure(0.02, 0.0, 0.05))


@pytest.mark.parametrize(
    ("spec", "accuracy", "asked", "loss"),
    [
        (COARSE, DEAR, {"grade": "harmless"}, 2.0),
        (COARSE, DEAR, {"grade": "faithful"}, 1.0),
        (COARSE, DEAR, {"max_cost_nats": 0.04}, 0.5),
        (COARSE, DEAR, {"min_sampled": 0.98}, 0.5),
        (COARSE, DEAR, {"grade": "harmless", "min_sampled": 0.995}, 2.0),
        (ENCODER, LOUD, {"grade": "harmless"}, 0.5),
        (ENCODER, LOUD, {"max_cost_db": 0.2}, 0.25),
        # No bound of one's own is about the encoder: the default grade is.
        (ENCODER, LOUD, {"max_cost_nats": 0.04}, 0.5),
        (ENCODER, LOUD, {"max_cost_db": 0.0}, 1e6),
    ],
)
def test_the_end_of_the_interval_that_judges_is_the_loss(
    spec: ModelSpec, accuracy: AccuracyReport, asked: dict[str, Any], loss: float
) -> None:
    assert loss_of(spec, accuracy, goal(**asked)) == pytest.approx(loss)
    assert goal(**asked).budget.max_loss == 1
    least = {"min_agreement": 0.9} | asked
    near = dataclasses.replace(accuracy, token_agreement=0.6)
    assert loss_of(spec, near, goal(**least)) == pytest.approx(max(loss, 4.0))


def test_few_recordings_do_not_hinder_a_search_and_never_pass() -> None:
    few = transformer(cost_nats=figure(0.001, 0.0, 0.004, recordings=2, clips=8))
    asked = goal(grade="harmless")
    assert loss_of(COARSE, few, asked) == pytest.approx(0.4)
    judged = asked.judgement(Role.COARSE, few)
    assert judged is not None and judged.verdict == "cannot-tell"
    assert goal(min_agreement=0.9).judgement(Role.COARSE, few) is None


def test_a_cost_grows_as_damage_and_a_share_of_tokens_as_its_root() -> None:
    assert damage_power(Role.COARSE, goal(grade="harmless")) == 1
    assert damage_power(Role.CODEC_ENCODER, goal(max_cost_db=0.1)) == 1
    for asked in ({"grade": "faithful"}, {"max_cost_nats": 0.1, "min_sampled": 0.9}):
        assert damage_power(Role.COARSE, goal(**asked)) == 2
    assert damage_power(Role.CODEC_ENCODER, goal(min_agreement=0.9)) == 2
