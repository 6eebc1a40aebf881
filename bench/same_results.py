"""What two runs of the same job must have in common: everything but times and where they ran."""

from __future__ import annotations

import math
from typing import Any

_MEASURED = frozenset({"created", "steps", "chains", "host", "command"})
"""Keys of results.json that hold times, or where and when they were taken."""

_TIMED_PROFILES = frozenset({"cpu", "cuda"})

_ROUNDING = 1e-9
"""Relative: another number of threads sums in another order."""


def differences(one: Any, other: Any, where: str = "results") -> list[str]:
    """Where two results.json differ, times apart; a line per place."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [k for k in dict.fromkeys((*one, *other)) if k not in _MEASURED]
        return [
            line
            for key in keys
            for line in (
                _profiles(one.get(key), other.get(key), f"{where}.{key}")
                if key == "profiles"
                else differences(one.get(key), other.get(key), f"{where}.{key}")
            )
        ]
    if isinstance(one, list) and isinstance(other, list):
        ones, others = ([v for v in side if not _chosen_by_time(v)] for side in (one, other))
        if len(ones) != len(others):
            return [f"{where}: {len(ones)} and {len(others)} entries"]
        pairs = enumerate(zip(ones, others, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{where}[{i}]")]
    if isinstance(one, float) and isinstance(other, float):
        return (
            [] if math.isclose(one, other, rel_tol=_ROUNDING) else [f"{where}: {one} and {other}"]
        )
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def _profiles(one: dict[str, Any], other: dict[str, Any], where: str) -> list[str]:
    """Of measured targets only what was measured on what; others whole."""
    if one.keys() != other.keys():
        return [f"{where}: {sorted(one)} and {sorted(other)}"]
    found = []
    for target, record in one.items():
        sides = [record, other[target]]
        if target in _TIMED_PROFILES:
            sides = [{k: s.get(k) for k in ("kind", "target", "feed_shapes")} for s in sides]
        found += differences(*sides, f"{where}.{target}")
    return found


def _chosen_by_time(entry: Any) -> bool:
    return isinstance(entry, dict) and str(entry.get("name", "")).startswith("fastest measured")
