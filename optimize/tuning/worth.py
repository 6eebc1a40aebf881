"""What a search was worth, and what it dropped: values, with words for a person beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from optimize.tuning.search import Budget, Candidate, ModelSet, Prefer, rank
from vampnet_models.cache import Json
from vampnet_models.text import megabytes, percent

Code = Literal["none", "tuned-alone", "uniform", "tuned-better"]

_MEASURES = {"smallest": "bytes", "fastest": "latency", "truest": "loss"}
"""What is compared, by what was sought; a latency is a multiple of FP32's."""

_BETTER = {"smallest": "smaller", "fastest": "faster", "truest": "truer"}
_UNIFORM_SAID = "None is better than {} for every model: that recipe meets the budget as well."


@dataclass(frozen=True)
class Verdict:
    """Whether searching was worth it: the chosen set beside the best recipe for all models.

    `code`: `none` where no set meets the budget, `tuned-alone` where no uniform one does,
    `uniform` where that is as good, `tuned-better`. `chosen` and `uniform` are in what `prefer`
    seeks; None where there is no such set.
    """

    code: Code
    prefer: Prefer
    recipe: str | None
    chosen: float | None
    uniform: float | None

    def as_json(self) -> Json:
        """The values, and beside them the words for a person."""
        return {**asdict(self), "measure": _MEASURES[self.prefer], "text": self.text}

    @property
    def text(self) -> str:
        """In a sentence."""
        if self.code == "none":
            return "No set of these candidates meets the budget."
        if self.code == "tuned-alone":
            return "No uniform recipe meets this budget; the tuned set does."
        if self.code == "uniform":
            return _UNIFORM_SAID.format(self.recipe)
        return (
            f"The tuned set is {_BETTER[self.prefer]} than the best single recipe for all models "
            f"within the budget, {self.recipe}: {_sought(self.chosen, self.prefer)} against "
            f"{_sought(self.uniform, self.prefer)}."
        )


def verdict(chosen: ModelSet | None, uniform: ModelSet | None, prefer: Prefer) -> Verdict:
    """The chosen set beside the best uniform one."""

    def of(found: ModelSet | None) -> Any:
        return None if found is None else getattr(found, _MEASURES[prefer])

    recipe = None if uniform is None else uniform.parts[0].recipe
    code: Code = "none"
    if chosen is not None and uniform is None:
        code = "tuned-alone"
    elif chosen is not None and uniform is not None:
        better = rank(chosen, prefer) < rank(uniform, prefer)
        code = "tuned-better" if better else "uniform"
    return Verdict(code, prefer, recipe, of(chosen), of(uniform))


@dataclass(frozen=True)
class _Missed:
    """A bound, and what was found where it was judged."""

    bound: str
    least: float
    found: float | None


@dataclass(frozen=True)
class Reverted:
    """A candidate that did not keep to the bounds on held-out audio, and was dropped."""

    part: Candidate
    missed: tuple[_Missed, ...]

    def as_json(self) -> Json:
        """The values, and beside them the words for a person."""
        part = self.part
        return {
            "model": part.model,
            "recipe": part.recipe,
            "agreement": part.agreement,
            "first_agreement": part.first_agreement,
            "si_sdr_db": part.si_sdr_db,
            "missed": [asdict(each) for each in self.missed],
            "text": f"{part.model} {part.recipe}: {_said(part)} on held-out audio",
        }


def reverted(part: Candidate, budget: Budget) -> Reverted | None:
    """The candidate with the bounds on what it says that it misses; None where it keeps all."""
    bounds = (
        ("min_agreement", budget.min_agreement, part.agreement),
        ("min_first_agreement", budget.min_first_agreement, part.first_agreement),
        ("min_si_sdr_db", budget.min_si_sdr_db, part.si_sdr_db),
    )
    missed = tuple(
        _Missed(name, least, found)
        for name, least, found in bounds
        if least is not None and found is not None and found < least
    )
    return Reverted(part, missed) if missed else None


def _sought(value: float | None, prefer: Prefer) -> str:
    if value is None:
        return "-"
    if prefer == "smallest":
        return megabytes(value)
    return f"{value:.2f} x FP32" if prefer == "fastest" else f"loss {value:.2e}"


def _said(part: Candidate) -> str:
    if part.first_agreement is not None:
        return f"{percent(part.agreement)} ({percent(part.first_agreement)} of the first four)"
    if part.agreement is not None:
        return percent(part.agreement)
    return f"{part.si_sdr_db:.1f} dB" if part.si_sdr_db is not None else "unknown"
