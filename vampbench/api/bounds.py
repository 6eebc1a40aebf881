"""Numbers that a caller gives, held to the bounds that the command line has."""

from __future__ import annotations

import math
from numbers import Integral, Real

from profiles.host import available_cores
from vampnet_models.errors import InputError
from vampnet_models.text import a_type

FEWEST_ROUNDS, MOST_ROUNDS = 3, 10_000
"""Timed runs: fewer say nothing, more than these nobody waits for."""

MOST_STEPS = 10_000
"""Of what else is repeated."""


def check_within(
    name: str,
    value: float | None,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Raise InputError for what is no number, or lies outside; None is not given.

    With `above`, `low` itself lies outside; with `whole`, a fraction does.
    """
    if value is None:
        return
    if not isinstance(value, Integral if whole else Real):
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name}: is {a_type(value)}; give {kind}")
    if not math.isfinite(value):
        raise InputError(f"{name}: {value} is no finite number")
    if not low <= value <= high or (above and value == low):
        least = f"{low:g}{'<' if above else '<='}x"
        most = f"<={high:g}" if math.isfinite(high) else ""
        raise InputError(f"{name}: {value} is not in the range {least}{most}")


def check_threads(threads: int) -> None:
    """Raise InputError for more threads than this process has cores, or fewer than none."""
    check_within("threads", threads, whole=True)
    cores = available_cores()
    if not 0 <= threads <= cores:
        raise InputError(f"{threads} threads: {cores} cores are there; give 0 to {cores}")
