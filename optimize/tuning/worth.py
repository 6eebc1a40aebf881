"""What a search was worth, and what it dropped: values, with words for a person beside them."""

from __future__ import annotations

from typing import Literal

from optimize.truth.grades import Judgement
from optimize.tuning.search import Budget, ModelSet, rank
from vampnet_models.records.tuning import (
    Candidate,
    Missed,
    Prefer,
    Reverted,
    Verdict,
    VerdictCode,
)
from vampnet_models.text import megabytes, percent

_MEASURES: dict[Prefer, Literal["bytes", "latency", "loss"]] = {
    "smallest": "bytes",
    "fastest": "latency",
    "truest": "loss",
}
"""What is compared, by what was sought; a latency is a multiple of FP32's."""

_BETTER = {"smallest": "smaller", "fastest": "faster", "truest": "truer"}


def verdict(
    chosen: ModelSet | None, uniform: ModelSet | None, prefer: Prefer, short: str | None = None
) -> Verdict:
    """The chosen set beside the best uniform one; without one, `short` says what the best lacks."""
    ours, theirs = _sought(chosen, prefer), _sought(uniform, prefer)
    recipe = None if uniform is None else uniform.parts[0].recipe
    code: VerdictCode
    if chosen is None:
        code, text = "none", "No set of these candidates meets the budget."
        if short is not None:
            text = f"No set of these candidates is shown to keep what was asked for: {short}."
    elif uniform is None:
        code, text = "tuned-alone", "No uniform recipe meets this budget; the tuned set does."
    elif rank(chosen, prefer) < rank(uniform, prefer):
        code = "tuned-better"
        text = (
            f"The tuned set is {_BETTER[prefer]} than the best single recipe for all models within "
            f"the budget, {recipe}: {_told(ours, prefer)} against {_told(theirs, prefer)}."
        )
    else:
        code = "uniform"
        text = (
            f"None is better than {recipe} for every model: that recipe meets the budget as well."
        )
    return Verdict(code, prefer, recipe, ours, theirs, _MEASURES[prefer], text)


def reverted(
    part: Candidate, budget: Budget, judgement: Judgement | None = None
) -> Reverted | None:
    """The candidate with the bounds on what it says that it misses; None where it keeps all.

    `judgement` is that of a grade or costs, where they were asked for.
    """
    bounds = (
        ("min_agreement", budget.min_agreement, part.agreement),
        ("min_first_agreement", budget.min_first_agreement, part.first_agreement),
        ("min_si_sdr_db", budget.min_si_sdr_db, part.si_sdr_db),
    )
    missed = tuple(
        Missed(name, least, found)
        for name, least, found in bounds
        if least is not None and found is not None and found < least
    )
    judged = judgement is not None and judgement.verdict != "holds"
    if not missed and not judged:
        return None
    said = judgement.text if judgement is not None and judged else f"{_said(part)} on held-out data"
    return Reverted(
        part.model,
        part.recipe,
        part.agreement,
        part.first_agreement,
        part.si_sdr_db,
        missed,
        f"{part.model} {part.recipe}: {said}",
    )


def _sought(found: ModelSet | None, prefer: Prefer) -> float | None:
    """A set's figure in what is sought."""
    if found is None:
        return None
    return {"smallest": found.bytes, "fastest": found.latency, "truest": found.loss}[prefer]


def _told(value: float | None, prefer: Prefer) -> str:
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
