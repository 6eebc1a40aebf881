from itertools import product

import numpy as np
import pytest

from optimize.precision.weights.allocation import Form, Offer, allocate

FORMS = (Form(4, 32), Form(6, 32), Form(8, 32))


def offers(seed: int, n: int) -> dict[int, list[Offer]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, n) * 100
    return {
        key: [
            Offer(form, int(size) * form.bits, float(rng.uniform(0, 1)) / form.bits**2)
            for form in FORMS
        ]
        for key, size in enumerate(sizes)
    }


def totals(chosen: list[Offer]) -> tuple[int, float]:
    return sum(o.n_bytes for o in chosen), sum(o.damage for o in chosen)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_fits_loses_less(seed: int) -> None:
    given = offers(seed, 6)
    smallest, largest = (
        sum(f(o.n_bytes for o in each) for each in given.values()) for f in (min, max)
    )
    budget_bytes = (smallest + largest) // 2
    n_bytes, damage = totals(list(allocate(given, budget_bytes).values()))
    every = [totals(list(chosen)) for chosen in product(*given.values())]
    assert n_bytes <= budget_bytes
    assert damage == pytest.approx(min(d for size, d in every if size <= budget_bytes))


def test_a_large_product_gets_bits_that_small_ones_would_use_up() -> None:
    """By what helps most per byte the small ones come first, and the large one gets none."""
    four, eight = FORMS[0], FORMS[2]
    given = {"large": [Offer(four, 100, 10.0), Offer(eight, 200, 1.0)]}
    given |= {
        name: [Offer(four, 5, 1.1), Offer(eight, 10, 0.1)] for name in ("small", "other", "third")
    }
    taken = allocate(given, 215)
    assert {name: offer.form.bits for name, offer in taken.items()} == {
        "large": 8,
        "small": 4,
        "other": 4,
        "third": 4,
    }


def test_where_nothing_fits_the_smallest_are_taken() -> None:
    given = offers(0, 3)
    assert all(offer.form == FORMS[0] for offer in allocate(given, 0).values())
    assert allocate({}, 100) == {}
