"""Which set remains where held-out audio says other than what the search heard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optimize.tuning.goal import SearchGoal, figures_of
from optimize.tuning.search import sets_of, uniform_sets
from optimize.tuning.tune import HeldOut
from profiles.targets.order import parse_targets
from tests.heard import Heard
from tests.optimize.truth.test_grades import figure, transformer
from tests.optimize.tuning.test_goal import goal
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.tuning import Candidate, Reverted
from vampnet_models.spec import ModelSpec, Role

SPEC = ModelSpec(Role.GENERIC, (), (), 21)
BYTES = {"tuned": 20, "int8": 30, "fp16": 50}
GOAL = SearchGoal(
    min_agreement=0.9,
    min_si_sdr_db=None,
    max_bytes=None,
    max_latency=None,
    prefer="truest",
    target=parse_targets("cpu")[0],
)


def settled(held: dict[str, float], sets: Any) -> tuple[str | None, list[str]]:
    """The recipe that remains of three that the search saw no loss in, and those dropped."""
    found = [
        Candidate("m", recipe, size, 0.0, 1.0, None, 1.0, 1.0, recipe != "tuned")
        for recipe, size in BYTES.items()
    ]
    model = SimpleNamespace(candidates=found, artifact=SimpleNamespace(spec=SPEC))
    judge = HeldOut({"m": model}, None, Path(), Heard())  # type: ignore[arg-type, dict-item]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            HeldOut,
            "accuracy",
            lambda _, candidate: AccuracyReport(token_agreement=held[candidate.recipe]),
        )
        best, dropped = judge.settle(sets, GOAL)
    if best is not None:
        assert best.agreement == held[best.parts[0].recipe] == 1 - best.loss
    return None if best is None else best.parts[0].recipe, [each.recipe for each in dropped]


@pytest.mark.parametrize(
    ("held", "best", "uniform"),
    [
        ({"tuned": 0.95, "int8": 0.95, "fp16": 1.0}, "tuned", "int8"),
        ({"tuned": 0.5, "int8": 0.95, "fp16": 1.0}, "int8", "int8"),
        ({"tuned": 0.5, "int8": 0.5, "fp16": 1.0}, "fp16", "fp16"),
        ({"tuned": 0.5, "int8": 0.5, "fp16": 0.5}, None, None),
    ],
)
def test_what_a_dropped_candidate_dominated_counts_again(
    held: dict[str, float], best: str | None, uniform: str | None
) -> None:
    failing = [recipe for recipe, agreement in held.items() if agreement < 0.9]
    assert settled(held, sets_of) == (best, failing)
    assert settled(held, uniform_sets) == (uniform, [r for r in failing if r != "tuned"])


COARSE = ModelSpec(Role.COARSE, (), (), 21)


def of_cost(high: float, *, recordings: int = 6) -> AccuracyReport:
    """All tokens are FP32's; what that costs is another matter."""
    cost = figure(high / 2, 0.0, high, recordings=recordings)
    return replace(transformer(cost_nats=cost), token_agreement=1.0)


def judged_by(
    asked: SearchGoal, held: dict[str, AccuracyReport]
) -> tuple[Candidate | None, list[Reverted], str | None]:
    """What remains, what was dropped, and what the best found lacks; the search saw no loss."""
    seen = figures_of(COARSE, of_cost(0.001), asked)
    found = [
        Candidate("m", recipe, size, time_ratio=1.0, reference_s=1.0, uniform=False, **seen)
        for recipe, size in BYTES.items()
    ]
    model = SimpleNamespace(candidates=found, artifact=SimpleNamespace(spec=COARSE))
    judge = HeldOut({"m": model}, None, Path(), Heard())  # type: ignore[arg-type, dict-item]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeldOut, "accuracy", lambda _, candidate: held[candidate.recipe])
        best, dropped = judge.settle(sets_of, asked)
        short = judge.falls_short(sets_of({"m": found}), asked)
    return None if best is None else best.parts[0], dropped, short


HARMLESS = goal(grade="harmless")


def test_a_degraded_candidate_is_refused_that_keeps_every_token() -> None:
    held = {"tuned": of_cost(0.02), "int8": of_cost(0.008), "fp16": of_cost(0.001)}
    best, dropped, _ = judged_by(HARMLESS, held)
    assert best is not None and best.recipe == "int8"
    assert best.loss == pytest.approx(0.8) and best.grades == ("harmless",)
    assert best.cost_nats == held["int8"].cost_nats
    (refused,) = dropped
    assert refused.recipe == "tuned" and not refused.missed
    assert refused.text == ("m tuned: may cost 0.02 nats per token (found: 0.01), 0.01 allowed")
    # By tokens alone it would have passed.
    by_tokens, none, short = judged_by(goal(min_agreement=0.99), held)
    assert by_tokens is not None and by_tokens.recipe == "tuned" and not none and short is None


def test_too_few_recordings_never_pass_and_the_best_found_is_named() -> None:
    held = dict.fromkeys(BYTES, of_cost(0.0, recordings=2))
    best, dropped, short = judged_by(HARMLESS, held)
    assert best is None and len(dropped) == 3
    assert all("it needs 3 recordings more" in each.text for each in dropped)
    assert short is not None and short.startswith("the best found is m ")
    assert "it needs 3 recordings more" in short


def test_a_size_that_lets_no_set_through_is_no_matter_of_cost() -> None:
    best, dropped, short = judged_by(
        goal(grade="harmless", max_bytes=1), dict.fromkeys(BYTES, of_cost(0.0))
    )
    assert best is None and not dropped and short is None
