from dataclasses import replace

import pytest

from optimize.tuning.search import (
    Budget,
    ModelSet,
    _undominated,
    assignments,
    choose,
    front,
    nearest,
    sets_of,
    uniform_sets,
)
from optimize.tuning.sensitivity import Effect
from vampnet_models.records.tuning import Candidate


def effect(block: str, precision: str, damage: float, saved: int, ratio: float = 1.0) -> Effect:
    return Effect(block, precision, damage, 1 - damage, saved, ratio)


def candidate(
    model: str, recipe: str, size: int, loss: float, ratio: float = 1.0, uniform: bool = True
) -> Candidate:
    return Candidate(model, recipe, size, loss, 1 - loss, None, ratio, 1.0, uniform)


TWO = {
    "a": [
        candidate("a", "fp16", 50, 0.001),
        candidate("a", "int8", 25, 0.05, 0.5),
        candidate("a", "mixed", 30, 0.005, 0.7, uniform=False),
    ],
    "b": [candidate("b", "fp16", 500, 0.002), candidate("b", "int8", 250, 0.009, 0.4)],
}


def test_the_sensitive_block_keeps_its_precision_longest() -> None:
    effects = {
        "tough": [effect("tough", "float32", 0, 0), effect("tough", "int4", 0.001, 70)],
        "tender": [effect("tender", "float32", 0, 0), effect("tender", "int4", 0.9, 70)],
    }
    found = assignments(effects, 200, 8)
    assert found == [
        {"tough": "int4", "tender": "int4"},
        {"tough": "int4", "tender": "float32"},
        {"tough": "float32", "tender": "float32"},
    ]
    assert assignments(effects, 200, 2) == [found[0], found[2]]


def test_a_faster_precision_is_proposed_beside_a_smaller_one() -> None:
    effects = {
        "a": [
            effect("a", "float32", 0, 0, 1.0),
            effect("a", "small", 0.01, 80, 1.3),
            effect("a", "fast", 0.01, 60, 0.5),
        ]
    }
    assert {each["a"] for each in assignments(effects, 100, 9)} == {"small", "fast", "float32"}


def test_a_block_that_overflows_is_never_proposed() -> None:
    effects = {"a": [effect("a", "float32", 0, 0), effect("a", "bad", float("inf"), 80)]}
    assert assignments(effects, 100, 9) == [{"a": "float32"}]


@pytest.mark.parametrize(
    ("budget", "prefer", "recipes"),
    [
        (Budget(min_agreement=0.99), "smallest", ("mixed", "int8")),
        (Budget(min_agreement=0.99, max_bytes=400), "truest", ("fp16", "int8")),
        (Budget(max_bytes=400), "fastest", ("int8", "int8")),
        (Budget(min_agreement=0.99, max_latency=0.56), "truest", ("mixed", "int8")),
        (Budget(), "truest", ("fp16", "fp16")),
    ],
)
def test_the_best_set_within_a_budget(budget: Budget, prefer: str, recipes: tuple[str]) -> None:
    chosen = choose(sets_of(TWO), budget, prefer)  # type: ignore[arg-type]
    assert chosen is not None
    assert tuple(p.recipe for p in chosen.parts) == recipes


def test_a_budget_that_cannot_be_met_names_the_nearest() -> None:
    impossible = Budget(min_agreement=0.99, max_bytes=100)
    assert choose(sets_of(TWO), impossible, "smallest") is None
    found = nearest(sets_of(TWO), impossible)
    assert found[0][0] == "keeps-tokens"
    assert found[0][1].bytes == 280
    assert [name for name, _ in found] == ["keeps-tokens", "truest"]
    assert found[-1][1].loss == pytest.approx(0.003)
    bounded = nearest(sets_of(TWO), Budget(min_agreement=0.9999, max_latency=0.5))
    assert [name for name, _ in bounded] == ["keeps-time", "truest"]
    assert bounded[0][1].latency <= 0.5


def test_sound_has_a_bound_of_its_own() -> None:
    quiet = Candidate("d", "int8", 10, 0.01, None, 20.0, 1.0, 1.0, True)
    assert not ModelSet((quiet,)).within(Budget(min_si_sdr_db=30))
    assert ModelSet((quiet,)).within(Budget(min_agreement=1.0))


def test_dominated_candidates_are_left_out() -> None:
    worse = candidate("a", "worse", 60, 0.01, 1.1)
    assert worse not in _undominated([*TWO["a"], worse])
    assert len(_undominated(TWO["a"])) == 3


def test_uniform_sets_need_the_recipe_in_every_model() -> None:
    assert [s.parts[0].recipe for s in uniform_sets(TWO)] == ["fp16", "int8"]


def test_the_front_gets_truer_as_it_grows() -> None:
    sets = front(sets_of(TWO))
    assert [s.bytes for s in sets] == sorted(s.bytes for s in sets)
    losses = [s.loss for s in sets]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == len(losses)
    assert sets[0].bytes == 275


def test_the_first_codebooks_have_a_bound_of_their_own() -> None:
    """The truer one overall may be the worse one where it counts, and is not thrown away."""
    firm = replace(candidate("e", "firm", 90, 0.03), first_agreement=0.995)
    loose = replace(candidate("e", "loose", 80, 0.02), first_agreement=0.98)
    assert _undominated([firm, loose]) == [firm, loose]
    sets = sets_of({"e": [firm, loose]})
    best = choose(sets, Budget(min_agreement=0.97, min_first_agreement=0.99), "smallest")
    assert best is not None
    assert best.parts == (firm,)
    assert choose(sets, Budget(min_agreement=0.98, min_first_agreement=0.99), "smallest") is None
    name, nearby = nearest(sets, Budget(min_first_agreement=0.99, max_bytes=10))[0]
    assert (name, nearby.parts) == ("keeps-tokens", (firm,))
