"""Bits where they help most: which form each product's weight gets, within so many bytes.

A multiple-choice knapsack, solved by dynamic programming over the bytes (Dudzinski and Walukiewicz
1987, "Exact methods for the knapsack problem and its generalizations"): going by what helps most
per byte would spend on small products what a large one needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

_K = TypeVar("_K")

_STEPS = 20_000
"""Of the bytes that may be spent: each product is counted as up to one step larger than it is."""


@dataclass(frozen=True)
class Form:
    """How a weight is stored.

    Attributes:
        bits: of a value.
        block: values that share a scale.
    """

    bits: Literal[4, 6, 8, 16]
    block: int


@dataclass(frozen=True)
class Offer:
    """What a weight may get.

    Attributes:
        form: how it is stored then.
        n_bytes: what that takes.
        damage: what the model's outputs lose by it, a share of their power.
    """

    form: Form
    n_bytes: int
    damage: float


def allocate(offers: Mapping[_K, Sequence[Offer]], budget_bytes: int) -> dict[_K, Offer]:
    """One offer for each key, with the least damage of all that fit; the smallest where none do."""
    least = {key: min(each, key=lambda o: (o.n_bytes, o.damage)) for key, each in offers.items()}
    spare_bytes = budget_bytes - sum(offer.n_bytes for offer in least.values())
    if spare_bytes <= 0:
        return least
    unit_bytes = math.ceil(spare_bytes / _STEPS)
    n_units = spare_bytes // unit_bytes
    damage, choices = np.zeros(n_units + 1), []
    for key, each in offers.items():
        reached = np.full((len(each), n_units + 1), np.inf)
        for row, offer in zip(reached, each, strict=True):
            units = math.ceil((offer.n_bytes - least[key].n_bytes) / unit_bytes)
            row[units:] = damage[: max(0, n_units + 1 - units)] + offer.damage
        choices.append(reached.argmin(axis=0).astype(np.uint8))
        damage = reached.min(axis=0)
    taken, left = {}, n_units
    for key, choice in reversed(list(zip(offers, choices, strict=True))):
        taken[key] = offers[key][choice[left]]
        left -= math.ceil((taken[key].n_bytes - least[key].n_bytes) / unit_bytes)
    return taken
