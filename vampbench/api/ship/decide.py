"""The one answer of a run: which set to ship where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from profiles.measure.stats import SAME_RUN_MARGIN
from profiles.report.views.read import read_results, undecided
from vampbench.api.bounds import typed
from vampnet_models.errors import InputError
from vampnet_models.records.accuracy import CANNOT_TELL
from vampnet_models.records.results import Decision, GradeName, Results


@typed
def decide(
    run: str | Path,
    *,
    grade: GradeName | None = None,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
) -> dict[str, Decision]:
    """Say for each target what to ship of a run: the smallest set, the fastest one, and why.

    `run` is what `run` or `tune` wrote. Without bounds the answer is the one that stands in its
    results.json; with a grade or bounds, as `run` takes them, it is found anew and kept nowhere.
    The smallest set is no slower than FP32; of a target that was not measured it is the smallest.

    Raises InputError where there is no run, where one of an earlier version decided nothing, and
    for bounds that contradict each other.
    """
    results = read_results(Path(run))
    found = decision_of(results, grade, min_agreement, min_sampled, max_cost, max_cost_db)
    if not found and (why := undecided(results)) is not None:
        raise InputError(f"{run}: {why}")
    return found


def decision_of(
    results: Results,
    grade: GradeName | None,
    min_agreement: float | None,
    min_sampled: float | None,
    max_cost: float | None,
    max_cost_db: float | None,
) -> dict[str, Decision]:
    """The same of results that were read; empty where they say nothing.

    Raises InputError for bounds that contradict each other.
    """
    if (grade, min_agreement, min_sampled, max_cost, max_cost_db) == (None,) * 5:
        return results.decision
    # Nothing of the search or of the truth is loaded where the answer stands in the results.
    from optimize.decide import decide as decided
    from vampbench.api.ship.asked import as_criterion

    return decided(results, as_criterion(grade, min_agreement, min_sampled, max_cost, max_cost_db))


def chosen_told(decision: Decision, *, fastest: bool) -> str:
    """Which of a target's sets is packed, and what is shown of it, in words."""
    found = decision.fastest if fastest else decision.smallest
    if found is None:
        return decision.grade
    if fastest:
        same = decision.smallest is not None and found.parts == decision.smallest.parts
        which = "the smallest, nothing is shown to be faster" if same else "the fastest"
    elif found.time_ratio is None:
        which = "the smallest, not measured there"
    elif found.time_ratio > 1 + SAME_RUN_MARGIN:
        which = f"the smallest, {found.time_ratio:.2f} x FP32's time"
    else:
        which = "the smallest that is no slower"
    if found.noisy:
        which += " (noisy)"
    unheld = [name for name in decision.unheld if name in found.parts]
    if len(unheld) == len(found.parts):
        return f"{which}: FP16 or FP32, nothing is shown to hold {decision.grade}"
    apart = f" but for {', '.join(unheld)}" if unheld else ""
    return f"{which}: {decision.grade}{apart}"


def unheld_lines(decision: Mapping[str, Decision]) -> list[str]:
    """A line for every grade that nothing of some models reaches, with the targets."""
    found: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for target, each in decision.items():
        if each.unheld:
            found.setdefault((each.grade, each.unheld, _cause(each)), []).append(target)
    return [
        f"nothing of {', '.join(models)} is shown to hold {grade} ({', '.join(targets)}): "
        f"FP16 is there instead, or FP32{cause}"
        for (grade, models, cause), targets in found.items()
    ]


def _cause(decision: Decision) -> str:
    """Why nothing is shown, where there was too little to judge on."""
    reasons = (each.reason for each in decision.passed_over if each.model in decision.unheld)
    return next((f"; {reason}" for reason in reasons if reason.startswith(CANNOT_TELL)), "")
