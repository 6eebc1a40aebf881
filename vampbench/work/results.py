"""The contents of results.json."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import onnx_ir as ir

from calibration.feeds.chain_inputs import ChainInputs
from profiles.host import describe_host
from vampbench.work.listening import write_listening
from vampbench.work.sets import chains_of, counted, sets_of, totals_of
from vampbench.work.workspace import Workspace
from vampnet_models.cache import Json
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.json_text import parse_json
from vampnet_models.progress import Reporter
from vampnet_models.records.generic import RESULTS, read
from vampnet_models.records.results import Results
from vampnet_models.spec import ROLE_KEY, WEIGHTS_KEY


def results_of(
    command: str,
    inputs: ChainInputs,
    models: list[Json],
    skipped: list[Json],
    space: Workspace,
    reporter: Reporter,
) -> Results:
    """The contents of results.json: all paths in it are relative to the folder that holds it."""
    sets = sets_of(models)
    values = {
        "tool": {
            "name": "vampnet-workbench",
            "version": importlib.metadata.version("vampnet-workbench"),
            "command": command,
        },
        "created": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "host": describe_host().as_json(),
        "audio_set": {
            "name": inputs.audio.name,
            "sha256": inputs.audio.sha256,
            "calibration_s": sum(c.duration_s for c in inputs.audio.calibration),
            "evaluation_s": sum(c.duration_s for c in inputs.audio.evaluation),
            "dropped": [asdict(d) for d in inputs.audio.dropped],
            "warnings": [*inputs.audio.warnings, *inputs.warnings],
        },
        "models": models,
        "skipped": skipped,
        "source_bytes": sum(m["source_bytes"] for m in counted(models)),
        "totals": totals_of(models),
        "sets": sets,
        "chains": chains_of(models, sets),
        "audio": _listening(models, space, inputs, reporter),
        "imported": _import_record(space.root, models),
        "steps": [asdict(step) for step in reporter.steps],
    }
    return read(Results, values, str(space.results), RESULTS.remedy)


def missed_of(results: Results) -> tuple[str, ...]:
    """What was not done as it was asked, a line each: models not read, steps, variants."""
    lines = [each.reason for each in results.skipped]
    for model in results.models:
        lines += [f"{model.name}: {each.step}: {each.reason}" for each in model.failed_steps]
        lines += [
            f"{model.name}: {each.recipe}: {each.reason}"
            for each in model.variants
            if each.status in ("missed", "failed")
        ]
    return tuple(lines)


def _listening(
    models: list[Json], space: Workspace, inputs: ChainInputs, reporter: Reporter
) -> list[Json]:
    """Sounds for the report; none, with a warning, where a decoder does not run."""
    try:
        with contained():
            return write_listening(models, space, inputs.evaluation.codes)
    except WorkbenchError as error:
        reporter.warn(f"no sounds were written for the report: {error}")
        return []


def _import_record(root: Path, models: list[Json]) -> Json | None:
    """What `vampbench import` wrote beside the models of a run; None where it wrote nothing."""
    for path in dict.fromkeys((root / m["path"]).with_name("import.json") for m in models):
        with suppress(OSError, ValueError):
            record = parse_json(path.read_text(encoding="utf-8"))
            if isinstance(record, dict):
                return record
    return None


def provenance_of(model: ir.Model) -> Json:
    """The kind of weights, and whether this workbench wrote the graph."""
    return {
        "weights": model.metadata_props.get(WEIGHTS_KEY, "unknown"),
        "made_here": ROLE_KEY in model.metadata_props,
    }
