"""Finding and reading the results.json of a run."""

from __future__ import annotations

from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Results


def load_results(path: Path) -> Results:
    """The content of a results.json. Raises InputError when it cannot be read as one."""
    return read_record(Results, RESULTS, path)


def results_path(given: Path) -> Path:
    """A results.json, or the one in a folder. Raises InputError when there is none."""
    if given.is_dir() and not (given / "results.json").is_file():
        if (given / "work").is_dir():
            raise InputError(
                f"{given}: holds no results.json: its run is not finished; start the same again"
            )
        raise InputError(f"{given}: holds no results.json; give one that `run` or `tune` wrote")
    if not given.exists():
        raise InputError(f"{given}: no such folder; give one that `run` or `tune` wrote")
    return given / "results.json" if given.is_dir() else given


def read_results(run_dir: Path) -> Results:
    """A run's results.json. Raises InputError when there is none, or nothing to tell of in it."""
    path = results_path(run_dir)
    results = load_results(path)
    if not results.models:
        raise InputError(f"{path}: models: holds none; run again")
    for number, model in enumerate(results.models):
        needed = [("path", model.path), ("source_bytes", model.source_bytes)]
        for i, made in enumerate(model.variants):
            if made.usable:
                where = f"variants[{i}]"
                needed += [(f"{where}.path", made.path), (f"{where}.bytes", made.bytes)]
        for name, value in needed:
            if value is None:
                raise InputError(f"{path}: models[{number}].{name}: is missing; run again")
    return results


def undecided(results: Results) -> str | None:
    """Why a run says nothing of what to ship, and what to do; None where it does."""
    if results.decision:
        return None
    if not any(v.usable for m in results.models for v in m.variants):
        return "there is nothing to ship: no model has a usable variant"
    again = results.tool.command or "vampbench run"
    return f"an earlier version made it, which decided nothing; run it again: {again}"


def not_ended(results: Results) -> str | None:
    """That a run was stopped, or still goes on, and what it has not come to; None at its end."""
    if not results.pending:
        return None
    again = results.tool.command or "vampbench run"
    names = ", ".join(results.pending)
    return f"the run has not ended: {names} not done yet; where it was stopped, give again: {again}"
