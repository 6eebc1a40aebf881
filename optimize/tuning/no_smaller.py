"""Why a block got the precision that it got: what the next smaller one saves, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optimize.tuning.sensitivity import Effect
from vampnet_models.records.results import Why, WhyCode

WHOLE_MODEL = Why("the whole model got it", "whole-model")
"""Of every block where one recipe was for all."""


def why_no_smaller(options: Sequence[Effect], chosen: str) -> Why:
    """What the next smaller precision would have saved and done to a block."""
    got = next(e for e in options if e.precision == chosen)
    smaller = [e for e in options if e.saved_bytes > got.saved_bytes]
    if not smaller:
        return Why("nothing is smaller", "nothing-smaller")
    best = min(smaller, key=lambda e: (e.damage - got.damage) / (e.saved_bytes - got.saved_bytes))
    saves_bytes, time_ratio = best.saved_bytes - got.saved_bytes, best.time_ratio / got.time_ratio
    finite = math.isfinite(best.damage)
    ratio = best.damage / got.damage if finite and got.damage else None
    code: WhyCode = "damage"
    if not finite:
        code, price = "overflows", ", and overflows"
    elif best.damage <= got.damage:
        code, price = "slower", f", but take {time_ratio:.2f} x the time"
    elif ratio is None:
        price = f", for a damage of {best.damage:.1e}"
    else:
        price = f", for {ratio:,.{1 if ratio < 10 else 0}f} x the damage"
    return Why(
        f"{best.precision} would save {saves_bytes / 1e3:,.1f} kB more{price}",
        code,
        best.precision,
        saves_bytes,
        best.damage if finite else None,
        ratio,
        time_ratio,
    )
