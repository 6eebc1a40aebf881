"""The smallest mixture within a bound, where the sum of damages says too much or too little."""

from collections.abc import Callable, Mapping

import pytest

from optimize.tuning.refine import TARGETS, refined
from optimize.tuning.search import damage_of, smallest
from optimize.tuning.sensitivity import Effect

N_BLOCKS = 24
TOTAL_BYTES = N_BLOCKS * 400


def effects() -> dict[str, list[Effect]]:
    """Blocks of one size, each a third tenderer than the one before."""
    return {
        f"b{i}": [
            Effect(f"b{i}", "float32", 0, 1, 0, 1),
            Effect(f"b{i}", "half", 1e-7 * 1.33**i, 1, 200, 1),
            Effect(f"b{i}", "eight", 1e-5 * 1.33**i, 1, 300, 1),
            Effect(f"b{i}", "four", 1e-3 * 1.33**i, 1, 350, 1),
        ]
        for i in range(N_BLOCKS)
    }


def saved(chosen: Mapping[str, str]) -> int:
    return sum(
        e.saved_bytes for each in effects().values() for e in each if chosen[e.block] == e.precision
    )


def measured(scale: float, calls: list[float]) -> Callable[[Mapping[str, str]], float]:
    """A model that loses the root of the damage, `scale` times what was thought."""

    def excess(chosen: Mapping[str, str]) -> float:
        calls.append(float((scale * damage_of(effects(), chosen)) ** 0.5 / 0.03))
        return calls[-1]

    return excess


@pytest.mark.parametrize("scale", [0.02, 1.0, 50.0])
def test_the_bound_is_met_closely_whatever_the_damage_adds_up_to(scale: float) -> None:
    calls: list[float] = []
    found = refined(effects(), TOTAL_BYTES, measured(scale, calls), 0.03**2, 2.0)
    assert len(calls) <= 20
    for target, chosen in zip(TARGETS, found, strict=True):
        loss = measured(scale, [])(chosen)
        assert 0.8 * target < loss <= target
        ideal = smallest(effects(), TOTAL_BYTES, (0.03 * target) ** 2 / scale)
        assert saved(chosen) >= saved(ideal) - 0.01 * TOTAL_BYTES


def test_nothing_is_invented_where_no_mixture_keeps_to_the_bound() -> None:
    assert refined(effects(), TOTAL_BYTES, lambda _: 3.0, 1e-4, 2.0) == []


def test_everything_in_its_smallest_precision_where_that_holds() -> None:
    calls: list[float] = []
    (found,) = refined(effects(), TOTAL_BYTES, measured(1e-9, calls), 1e-4, 2.0)
    assert set(found.values()) == {"four"}


def test_the_knapsack_is_exact() -> None:
    """A greedy choice by saving per damage would leave the large block in float."""
    options = {
        "small": [Effect("small", "float32", 0, 1, 0, 1), Effect("small", "four", 0.5, 1, 60, 1)],
        "large": [Effect("large", "float32", 0, 1, 0, 1), Effect("large", "four", 0.9, 1, 100, 1)],
    }
    assert smallest(options, 1000, 1.0) == {"small": "float32", "large": "four"}
    assert smallest(options, 1000, 1.5) == {"small": "four", "large": "four"}
    assert smallest(options, 1000, 0.0) == {"small": "float32", "large": "float32"}
