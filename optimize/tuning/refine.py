"""The smallest mixture that keeps to a bound: proposed by a model of damage, settled by measuring.

What the damage of all blocks together does is known only roughly beforehand. So the smallest
mixture of some damage is measured whole, the damage that may be had is corrected by what came of
it, and so on until the step between what holds and what fails is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from optimize.tuning.search import saved_bytes, smallest, worst_damage
from optimize.tuning.sensitivity import Effect

MOST_TRIALS = 8
"""Mixtures that are measured per target."""

_FINE_STEP = 0.004
"""Brackets whose sizes differ by less of the model are settled."""

_AIM = 0.97
"""Of the target: a guess that falls just short of it closes the bracket sooner."""

TARGETS = (1.0, 0.85, 0.7)
"""Shares of the loss that is allowed: other audio may lose more, and then the next is there."""


def refined(
    effects: Mapping[str, Sequence[Effect]],
    total_bytes: int,
    excess: Callable[[Mapping[str, str]], float],
    start: float,
    power: float,
    speed: float = 0.0,
) -> list[dict[str, str]]:
    """For each of the TARGETS the smallest assignment that was found to keep to it.

    `excess` measures an assignment: its loss as a multiple of what is allowed. It grows as damage
    to the `1 / power`; `start` is the first guess of the damage that may be had.
    """
    measured: dict[tuple[tuple[str, str], ...], float] = {}
    tried: dict[float, float] = {}

    def measure(most_damage: float) -> float:
        chosen = smallest(effects, total_bytes, most_damage, speed)
        key = tuple(chosen.items())
        if key not in measured:
            measured[key] = excess(chosen)
        tried[most_damage] = measured[key]
        return measured[key]

    guess = start
    for target in TARGETS:
        for _ in range(MOST_TRIALS):
            guess = _next(tried, target, power) or guess
            measure(guess)
            if _settled(effects, total_bytes, tried, target, speed):
                break
    found: dict[tuple[tuple[str, str], ...], None] = {}
    for target in TARGETS:
        kept = [key for key, value in measured.items() if value <= target]
        if kept:
            found[max(kept, key=lambda key: saved_bytes(effects, dict(key)))] = None
    return [dict(key) for key in found]


def _next(tried: Mapping[float, float], target: float, power: float) -> float | None:
    """The damage to try, from what the last trials around the target gave."""
    if not tried:
        return None
    low, high = _bracket(tried, target)
    near = min(tried, key=lambda d: abs(math.log(max(tried[d], 1e-9) / target)))
    # By the power law, from the trial that came nearest.
    guess = float(near * (_AIM * target / max(tried[near], 1e-9)) ** power)
    if low is not None and high is not None:
        # At an end of the bracket a trial tells nothing new: its middle, as damage spans decades.
        inside = low * 1.0001 < guess < high * 0.9999
        return guess if inside else math.sqrt(low * high)
    # With one end open the law is trusted over a factor of 16, and a step is worth its trial from
    # 1.5 on.
    if low is not None:
        return min(max(guess, 1.5 * low), 16 * low)
    assert high is not None
    return max(min(guess, high / 1.5), high / 16)


def _bracket(tried: Mapping[float, float], target: float) -> tuple[float | None, float | None]:
    """The most damage below the least that fails, and that one."""
    high = min((d for d, value in tried.items() if value > target), default=None)
    low = max(
        (d for d, v in tried.items() if v <= target and (high is None or d < high)), default=None
    )
    return low, high


def _settled(
    effects: Mapping[str, Sequence[Effect]],
    total_bytes: int,
    tried: Mapping[float, float],
    target: float,
    speed: float,
) -> bool:
    low, high = _bracket(tried, target)
    if low is None or high is None:
        return low is not None and low > worst_damage(effects)
    saved = [saved_bytes(effects, smallest(effects, total_bytes, d, speed)) for d in (low, high)]
    return abs(saved[0] - saved[1]) <= _FINE_STEP * total_bytes
