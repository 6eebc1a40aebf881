"""Losses and bounds of what was measured, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from optimize.tuning.goal import excess, first_agreement, loss_of
from optimize.tuning.search import Budget
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
    assert loss_of(measured(**given)) == pytest.approx(loss)


def test_the_first_codebooks_are_weighed_by_their_positions() -> None:
    assert first_agreement(ENCODER, measured()) == pytest.approx((30 + 9) / 40)
    assert first_agreement(ENCODER, measured(per_codebook=())) is None
    assert first_agreement(COARSE, measured()) is None


@pytest.mark.parametrize(
    ("spec", "given", "budget", "found"),
    [
        (COARSE, {"token_agreement": 0.98}, Budget(0.99, None), 2.0),
        (COARSE, {"token_agreement": 0.98}, Budget(0.9, None), 0.2),
        (COARSE, {"token_agreement": 0.98}, Budget(1.0, None), math.inf),
        (COARSE, {"token_agreement": 0.98}, Budget(None, 30.0), None),
        (COARSE, {"token_agreement": 0.98, "nonfinite": 1}, Budget(0.9, None), math.inf),
        (
            ENCODER,
            {"token_agreement": 0.98},
            Budget(0.9, None, min_first_agreement=0.99),
            pytest.approx(2.5),
        ),
        (DECODER, {"si_sdr_db": 20.0}, Budget(0.99, 30.0), 10.0),
        (DECODER, {"si_sdr_db": 40.0}, Budget(None, 30.0), pytest.approx(0.1)),
    ],
)
def test_the_tightest_bound_says_by_how_much_it_is_missed(
    spec: ModelSpec, given: dict[str, float], budget: Budget, found: float | None
) -> None:
    excess_ = excess(spec, measured(**given), budget)
    assert excess_ == (pytest.approx(found) if isinstance(found, float) else found)
