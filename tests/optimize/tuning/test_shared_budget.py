"""A budget that models share: mixtures are asked for until none helps, four times at most."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optimize.tuning import shared_budget
from optimize.tuning.goal import SearchGoal
from optimize.tuning.shared_budget import spend
from profiles.targets.order import parse_targets
from tests.heard import Heard
from tests.optimize.tuning.test_joint import FLOAT_BYTES, built, curves, effects
from vampnet_models.spec import Role

WORST = {"a": 1e-12, "b": 1e-9}


def models() -> dict[str, Any]:
    """Two models whose mixtures were measured at two sizes each."""
    found = {}
    for name, curve in curves().items():
        points = curve.measured
        found[name] = SimpleNamespace(
            artifact=SimpleNamespace(role=Role.COARSE, bytes=FLOAT_BYTES),
            effects=effects(WORST[name]),
            mixtures={p.candidate.recipe: p.assignment for p in points},
            candidates=[p.candidate for p in points],
        )
    return found


def spent(monkeypatch: pytest.MonkeyPatch, max_bytes: int | None) -> tuple[dict[str, Any], Heard]:
    """The models once a budget was spent on them, where each mixture that is asked for is built."""
    tuned, heard = models(), Heard()
    by_identity = {id(each): name for name, each in tuned.items()}

    def add(model: Any, assignments: Any, recipes: Any, *_: Any) -> None:
        assert recipes == ()
        for assignment in assignments:
            point = built(by_identity[id(model)], WORST[by_identity[id(model)]], dict(assignment))
            model.mixtures[point.candidate.recipe] = dict(assignment)
            model.candidates.append(point.candidate)

    monkeypatch.setattr(shared_budget, "add_candidates", add)
    goal = SearchGoal(
        min_agreement=None,
        min_si_sdr_db=None,
        max_bytes=max_bytes,
        max_latency=None,
        prefer="truest",
        target=parse_targets("cpu")[0],
    )
    spend(tuned, Path(), goal, heard)
    return tuned, heard


def best(tuned: dict[str, Any], most: int) -> float:
    """The least loss of two candidates that fit together."""
    a, b = (each.candidates for each in tuned.values())
    return min(p.loss + q.loss for p in a for q in b if p.bytes + q.bytes <= most)


def test_a_bound_on_size_asks_for_mixtures_that_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before, (after, heard) = models(), spent(monkeypatch, 1200)
    assert best(after, 1200) < 0.5 * best(before, 1200)
    assert heard.notes[0].startswith("shared budget, round 1 of at most 4: a mixture more of ")
    assert 1 <= len(heard.notes) <= 4


def test_it_ends_after_the_most_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_budget, "_MOST_ROUNDS", 1)
    _, heard = spent(monkeypatch, 1200)
    assert len(heard.notes) == 1 and "round 1 of at most 1" in heard.notes[0]


def test_without_a_bound_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, heard = spent(monkeypatch, None)
    assert heard.notes == []
    assert [len(each.candidates) for each in tuned.values()] == [2, 2]


def test_where_nothing_fits_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, heard = spent(monkeypatch, 10)
    assert heard.notes == []
    assert [len(each.candidates) for each in tuned.values()] == [2, 2]
