"""A budget that models share is spent where it helps most."""

from dataclasses import replace

import pytest

from optimize.tuning.joint import Curve, Point, proposal
from optimize.tuning.search import Budget, damage_of, smallest
from optimize.tuning.sensitivity import Effect
from vampnet_models.records.tuning import Candidate

BLOCKS = tuple(f"b{i}" for i in range(12))
FLOAT_BYTES = 1200


def effects(worst: float) -> dict[str, list[Effect]]:
    """Twelve blocks of 100 bytes; the later ones are the more sensitive by far."""
    return {
        block: [
            Effect(block, "float32", 0.0, 1.0, 0, 1.0),
            Effect(block, "int8", worst * 4.0**i * 1e-2, None, 75, 0.95),
            Effect(block, "int4", worst * 4.0**i, None, 87, 1.02),
        ]
        for i, block in enumerate(BLOCKS)
    }


def built(name: str, worst: float, assignment: dict[str, str]) -> Point:
    """What measuring a mixture gives: half more than the sum of damage says, and 7 bytes more."""
    found = effects(worst)
    damage = damage_of(found, assignment)
    loss = 1.5 * damage**0.5
    picked = [e for each in found.values() for e in each if assignment[e.block] == e.precision]
    size = FLOAT_BYTES - sum(e.saved_bytes for e in picked) + 7
    time = 1 + sum(e.time_ratio - 1 for e in picked)
    recipe = "tuned-" + str(sorted(assignment.items()))
    return Point(
        assignment,
        damage,
        Candidate(name, recipe, size, loss, 1 - loss, None, time, 1.0, uniform=False),
    )


def curve(name: str, worst: float, shares: tuple[float, ...]) -> Curve:
    found = effects(worst)
    most = sum(each[-1].damage for each in found.values())
    mixtures = [smallest(found, FLOAT_BYTES, share * most) for share in shares]
    return Curve(found, FLOAT_BYTES, 2.0, tuple(built(name, worst, m) for m in mixtures))


def curves() -> dict[str, Curve]:
    return {"a": curve("a", 1e-12, (1.0, 1e-5)), "b": curve("b", 1e-9, (1.0, 1e-5))}


NONE: dict[str, list[Candidate]] = {"a": [], "b": []}


def settled(budget: Budget, prefer: str) -> list[Candidate]:
    """Propose and build until nothing new is wanted; the best set's candidates then."""
    known = curves()
    for _ in range(12):
        wanted = proposal(known, NONE, budget, prefer)  # type: ignore[arg-type]
        if not wanted:
            break
        for name, assignment in wanted.items():
            worst = 1e-12 if name == "a" else 1e-9
            point = built(name, worst, dict(assignment))
            assert point.candidate.recipe not in [p.candidate.recipe for p in known[name].measured]
            known[name] = replace(known[name], measured=(*known[name].measured, point))
    else:
        pytest.fail("it never settles")
    pairs = [(p.candidate, q.candidate) for p in known["a"].measured for q in known["b"].measured]
    kept = [
        pair
        for pair in pairs
        if (budget.max_bytes is None or sum(c.bytes for c in pair) <= budget.max_bytes)
        and (
            budget.max_latency is None or sum(c.time_ratio for c in pair) <= 2 * budget.max_latency
        )
    ]
    return list(min(kept, key=lambda pair: sum(c.loss for c in pair)))


def test_bytes_go_to_the_model_that_loses_more() -> None:
    a, b = settled(Budget(max_bytes=1200), "truest")
    assert 1100 < a.bytes + b.bytes <= 1200
    assert b.bytes > a.bytes + 100
    first = curves()
    coarse = [
        p.candidate.loss + q.candidate.loss
        for p in first["a"].measured
        for q in first["b"].measured
        if p.candidate.bytes + q.candidate.bytes <= 1200
    ]
    assert a.loss + b.loss < 0.5 * min(coarse)


def test_time_is_a_budget_too() -> None:
    a, b = settled(Budget(max_latency=0.7), "truest")
    assert a.time_ratio + b.time_ratio <= 1.4
    freely = settled(Budget(), "truest")
    assert a.loss + b.loss > sum(c.loss for c in freely)


def test_bounds_on_each_model_hold_too() -> None:
    _, loose = settled(Budget(max_bytes=1300), "truest")
    least = 1 - 0.9 * loose.loss
    _, b = settled(Budget(max_bytes=1300, min_agreement=least), "truest")
    assert b.agreement is not None and b.agreement >= least > 1 - loose.loss


def test_nothing_is_proposed_where_nothing_fits() -> None:
    assert proposal(curves(), NONE, Budget(max_bytes=10), "truest") == {}
    assert proposal(curves(), NONE, Budget(min_agreement=1.1), "truest") == {}


def test_a_better_uniform_recipe_is_left_in_its_place() -> None:
    best = Candidate("a", "fp16", 1, 0.0, 1.0, None, 0.1, 1.0, uniform=True)
    wanted = proposal(curves(), {"a": [best], "b": []}, Budget(max_bytes=1200), "truest")
    assert "a" not in wanted


def test_a_model_without_mixtures_keeps_its_recipe() -> None:
    only = Candidate("a", "fp16", 300, 0.0, 1.0, None, 0.9, 1.0, uniform=True)
    known = {"a": replace(curves()["a"], measured=()), "b": curves()["b"]}
    wanted = proposal(known, {"a": [only], "b": []}, Budget(max_bytes=1000), "truest")
    assert set(wanted) == {"b"}
    assert proposal(known, NONE, Budget(max_bytes=1000), "truest") == {}
