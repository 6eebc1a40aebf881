"""Why a block got the precision that it got: what the next smaller one saves, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from optimize.tuning.sensitivity import Effect

Code = Literal["nothing-smaller", "overflows", "slower", "damage", "whole-model"]


@dataclass(frozen=True)
class WhyNoSmaller:
    """What speaks against the next smaller precision, with its figures against what was chosen.

    `damage` is its own (None where it overflows), `damage_ratio` is None where the chosen one does
    none. All figures are None for `nothing-smaller`, and for `whole-model`: one recipe for all.
    """

    code: Code
    precision: str | None = None
    saves_bytes: int | None = None
    damage: float | None = None
    damage_ratio: float | None = None
    time_ratio: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The values, and beside them the words for a person."""
        return {**asdict(self), "text": self.text}

    @property
    def text(self) -> str:
        """In a few words."""
        if self.code == "whole-model":
            return "the whole model got it"
        if self.code == "nothing-smaller":
            return "nothing is smaller"
        saves = f"{self.precision} would save {(self.saves_bytes or 0) / 1e3:,.1f} kB more"
        if self.code == "overflows":
            return f"{saves}, and overflows"
        if self.code == "slower":
            return f"{saves}, but take {self.time_ratio:.2f} x the time"
        ratio = self.damage_ratio
        if ratio is None:
            return f"{saves}, for a damage of {self.damage:.1e}"
        return f"{saves}, for {ratio:,.{1 if ratio < 10 else 0}f} x the damage"


def why_no_smaller(options: Sequence[Effect], chosen: str) -> WhyNoSmaller:
    """What the next smaller precision would have saved and done to a block."""
    got = next(e for e in options if e.precision == chosen)
    smaller = [e for e in options if e.saved_bytes > got.saved_bytes]
    if not smaller:
        return WhyNoSmaller("nothing-smaller")
    best = min(smaller, key=lambda e: (e.damage - got.damage) / (e.saved_bytes - got.saved_bytes))
    code: Code = "slower" if best.damage <= got.damage else "damage"
    finite = math.isfinite(best.damage)
    return WhyNoSmaller(
        code if finite else "overflows",
        best.precision,
        best.saved_bytes - got.saved_bytes,
        best.damage if finite else None,
        best.damage / got.damage if finite and got.damage else None,
        best.time_ratio / got.time_ratio,
    )
