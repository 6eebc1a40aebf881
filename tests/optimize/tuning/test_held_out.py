"""Which set remains where held-out audio says other than what the search heard."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optimize.tuning.goal import SearchGoal
from optimize.tuning.search import sets_of, uniform_sets
from optimize.tuning.tune import HeldOut
from profiles.targets.order import parse_targets
from tests.heard import Heard
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.tuning import Candidate
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
