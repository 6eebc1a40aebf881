"""What a finished run says: what to ship where, its report, and what changed since another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from profiles.overview import (
    Issue,
    import_figures,
    known_issues,
    storage_by_use,
)
from profiles.report.comparison import write_comparison
from profiles.report.render import render_report
from profiles.report.views.changes import Changes
from profiles.report.views.read import load_results, read_results, results_path
from vampbench.api.bounds import typed
from vampbench.api.ship.decide import decision_of
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_output, write_text
from vampnet_models.records.generic import as_json
from vampnet_models.records.results import Decision, GradeName, Lengths, Results

_UNKNOWN = Lengths(None, None, None, None)


@dataclass(frozen=True)
class Overview:
    """A finished run in short.

    results: all that the run found.
    lengths: by model, which lengths it takes.
    storage: (use, recipe, bytes): the codec alone and the whole chain.
    decision: what to ship on each target, and why; empty where an earlier version made the run.
    issues: known issues of earlier exports, and their state here; of other exporters' models alone.
    """

    results: Results
    lengths: dict[str, Lengths]
    storage: tuple[tuple[str, str, int], ...]
    decision: dict[str, Decision]
    issues: tuple[Issue, ...]

    def as_json(self) -> Json:
        """As JSON values."""
        return {
            "lengths": as_json(self.lengths),
            "storage": [{"use": u, "recipe": r, "bytes": b} for u, r, b in self.storage],
            "decision": as_json(self.decision),
            "imported": import_figures(self.results.imported),
        }


@typed
def overview(
    run: str | Path,
    *,
    grade: GradeName | None = None,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
) -> Overview:
    """Summarise what `run` or `tune` wrote: its results.json alone is read, no model is opened.

    The bounds are `decide`'s. Raises InputError where there is no run, where it tells of nothing,
    and for bounds that contradict each other.
    """
    results = read_results(Path(run))
    lengths = {model.name: model.lengths or _UNKNOWN for model in results.models}
    return Overview(
        results=results,
        lengths=lengths,
        storage=tuple(storage_by_use(results)),
        decision=decision_of(results, grade, min_agreement, min_sampled, max_cost, max_cost_db),
        issues=tuple(known_issues(results, lengths, results.imported)),
    )


@typed
def write_report(
    run: str | Path, output: str | Path | None = None, *, tuned: str | Path | None = None
) -> Path:
    """Write the offline HTML report of a run; its path, beside results.json by default.

    `tuned`, what `tune` wrote for the same models, adds what each block costs. Raises InputError
    where a run cannot be read, or the two have no model in common.
    """
    path = results_path(Path(run))
    target = path.with_name("report.html") if output is None else Path(output)
    check_output(target, path)
    content = load_results(path)
    if tuned is not None:
        content = _with_blocks(content, path, results_path(Path(tuned)))
    write_text(target, render_report(content, path.parent))
    return target


@typed
def compare_runs(
    then: str | Path,
    now: str | Path,
    output: str | Path | None = None,
    *,
    other_machine: bool = False,
) -> tuple[Path, Changes]:
    """Write the page of what changed between two runs; its path, and what it says.

    It is comparison.html beside the later run by default. Times of different machines are compared
    with `other_machine` alone. Raises InputError where a run cannot be read.
    """
    before, after = (results_path(Path(each)) for each in (then, now))
    target = after.with_name("comparison.html") if output is None else Path(output)
    check_output(target, before, after)
    return target, write_comparison(before, after, target, other_machine=other_machine)


def _with_blocks(run: Results, path: Path, tuned: Path) -> Results:
    """A run's results with what `tune` found out per block, by the hash of the source.

    Raises InputError when the two have no model in common.
    """
    blocks = {m.source_sha256: m.blocks for m in load_results(tuned).models}
    models = tuple(replace(m, blocks=blocks.get(m.source_sha256, ())) for m in run.models)
    if not any(m.blocks for m in models):
        raise InputError(f"{tuned}: tuned none of the models of {path}; give what `tune` wrote")
    return replace(run, models=models)
