"""`vampbench overview`: the table that one shows around, and what to ship where."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from profiles.overview import known_issues, recommendations, storage_by_use
from vampnet_models.artifact import open_artifact
from vampnet_models.errors import InputError, WorkbenchError
from vampnet_models.spec import Role
from workbench import options
from workbench.boundary import contained
from workbench.console import Voice, megabytes, percent
from workbench.lengths import accepted_by
from workbench.results import import_record
from workbench.summary import variants_told
from workbench.workspace import Json

MODEL_KEYS = {"name", "role", "path", "source_bytes", "source_sha256", "weights", "variants"}
VARIANT_KEYS = {"recipe", "path", "bytes", "status", "reason", "accuracy", "profiles", "record"}
"""What commands read of each model and variant of a run."""


@click.command()
@click.argument("run_dir", type=options.PATH)
@options.as_json
def overview(run_dir: Path, as_json: bool) -> None:
    """Summarise a finished run: size, tokens, lengths, storage by use, what to ship where.

    RUN_DIR is what `vampbench run` or `demo` wrote. Models of other exporters are run to find the
    lengths that they take; what `vampbench import` recorded beside the models says how many
    parameters were transferred.

    \b
    Example:
      vampbench overview out/demo
    """
    voice = Voice(as_json=as_json)
    results = read_results(run_dir)
    root = results_path(run_dir).parent
    lengths = _lengths(results, root, voice)
    imported = results.get("imported") or import_record(root, results["models"])
    rows = [_row(m, r, v, lengths) for m in results["models"] for r, v in variants_told(m)]
    columns = ("model", "recipe", "size", "of source", "says the same", "lengths")
    voice.table("Models", columns, rows)
    storage = storage_by_use(results)
    voice.table("Storage", ("use", "recipe", "size"), [(u, r, megabytes(b)) for u, r, b in storage])
    advice = recommendations(results)
    voice.table(
        "What to ship",
        ("target", "recipes", "size", "why"),
        [
            (
                a.target,
                ", ".join(f"{m}: {r}" for m, r in a.parts.items()),
                megabytes(a.bytes),
                a.why,
            )
            for a in advice
        ],
    )
    is_chain = any(m["role"] != Role.GENERIC for m in results["models"])
    issues = known_issues(results, lengths, imported) if is_chain else []
    if issues:
        voice.table(
            "Known issues of the earlier exports",
            ("issue", "before", "now"),
            [(i.name, i.before, i.now) for i in issues],
        )
    voice.json(
        {
            "lengths": lengths,
            "storage": [{"use": u, "recipe": r, "bytes": b} for u, r, b in storage],
            "recommendations": [asdict(a) for a in advice],
            "issues": [asdict(i) for i in issues],
        }
    )


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


def read_results(run_dir: Path) -> Json:
    """A run's results.json. Raises InputError when there is none or it is something else."""
    path = results_path(run_dir)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check its rights") from error
    except ValueError as error:
        raise InputError(f"{path}: is no JSON; give the folder of a finished run") from error
    if not isinstance(results, dict) or results.get("schema") != 1:
        raise InputError(f"{path}: is no results.json of this version; run again")
    models = _listed(results, "models")
    if not models:
        raise InputError(f"{path}: holds no model; run again")
    variants = [v for m in models for v in _listed(m, "variants")]
    for wanted, each in ((MODEL_KEYS, models), (VARIANT_KEYS, variants)):
        for record in each:
            missing = sorted(wanted - set(record) if isinstance(record, dict) else wanted)
            if missing:
                raise InputError(f"{path}: damaged: it has no {missing[0]} somewhere; run again")
    return results


def _listed(record: object, key: str) -> list[Json]:
    found = record.get(key) if isinstance(record, dict) else None
    return found if isinstance(found, list) else []


def _lengths(results: Json, root: Path, voice: Voice) -> dict[str, str]:
    found = {}
    with voice.task("finding accepted lengths") as update:
        for done, model in enumerate(results["models"]):
            update(done, len(results["models"]))
            path = root / model["path"]
            kept = model.get("lengths")
            if isinstance(kept, str):
                found[model["name"]] = kept
            elif path.is_file():
                found[model["name"]] = _lengths_of(path)
            else:
                found[model["name"]] = "unknown: its source is not where the run says"
        update(1, 1)
    return found


def _lengths_of(path: Path) -> str:
    try:
        with contained():
            return accepted_by(open_artifact(path))
    except WorkbenchError as error:
        return f"unknown: {error}"


def _row(model: Json, recipe: str, variant: Json, lengths: dict[str, str]) -> tuple[str, ...]:
    if variant["bytes"] is None:
        status = f"{variant['status']}: {variant['reason']}"
        return (model["name"], recipe, "-", "-", status, "-")
    accuracy = variant["accuracy"] or {}
    says = percent(accuracy.get("token_agreement"))
    if accuracy.get("si_sdr_db") is not None:
        says = f"{accuracy['si_sdr_db']:.1f} dB SI-SDR"
    elif accuracy.get("token_agreement") is None and accuracy.get("snr_db") is not None:
        says = f"{accuracy['snr_db']:.1f} dB SQNR"
    share = f"{variant['bytes'] / model['source_bytes']:.0%}"
    size = megabytes(variant["bytes"])
    return (model["name"], recipe, size, share, says, lengths[model["name"]])
