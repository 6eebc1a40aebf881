"""The contents of results.json."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from calibration.feeds.chain_inputs import ChainInputs
from optimize.truth.grades import grades_held
from profiles.host import describe_host
from profiles.sets import chains_of, counted, sets_of, totals_of
from vampbench.work.listening import write_listening
from vampbench.work.workspace import Workspace, relative_to
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.importing.importer import RECORD_NAME
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import IMPORT
from vampnet_models.records.import_record import ImportRecord
from vampnet_models.records.results import (
    Audio,
    Dropped,
    Model,
    Results,
    Skipped,
    Sound,
    Step,
    Tool,
)
from vampnet_models.spec import ROLE_KEY, WEIGHTS_KEY


def results_of(
    command: str,
    inputs: ChainInputs,
    models: Sequence[Model],
    skipped: Sequence[Skipped],
    space: Workspace,
    reporter: Reporter,
    pending: Sequence[str] = (),
) -> Results:
    """The contents of results.json: all paths in it are relative to the folder that holds it.

    `pending` are the models that are still to come.
    """
    models = [_graded(model) for model in models]
    sets = sets_of(models)
    audio = inputs.audio
    return Results(
        tool=Tool("vampnet-workbench", importlib.metadata.version("vampnet-workbench"), command),
        created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        host=describe_host(),
        audio_set=Audio(
            name=audio.name,
            sha256=audio.sha256,
            calibration_s=sum(c.duration_s for c in audio.calibration),
            evaluation_s=sum(c.duration_s for c in audio.evaluation),
            dropped=tuple(Dropped(each.name, each.reason) for each in audio.dropped),
            warnings=(*audio.warnings, *inputs.warnings),
        ),
        models=tuple(models),
        skipped=tuple(skipped),
        source_bytes=sum(m.source_bytes or 0 for m in counted(models)),
        totals=totals_of(models),
        sets=sets,
        chains=chains_of(models, sets),
        audio=_listening(models, space, inputs, reporter),
        imported=_import_record(space.root, models),
        pending=tuple(pending),
        steps=tuple(Step(each.name, each.took_s) for each in reporter.steps),
    )


def _graded(model: Model) -> Model:
    """With the grades that each variant is shown to hold."""
    variants = (
        v if v.accuracy is None else replace(v, grades=grades_held(model.role, v.accuracy))
        for v in model.variants
    )
    return replace(model, variants=tuple(variants))


def source_of(artifact: Artifact, root: Path) -> Model:
    """What the file says of a source model; nothing of it was looked at yet."""
    return Model(
        name=artifact.name,
        role=artifact.role.value,
        path=relative_to(root, artifact.path),
        source_bytes=artifact.bytes,
        source_sha256=artifact.sha256,
        family=artifact.spec.family,
    )


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
    models: Sequence[Model], space: Workspace, inputs: ChainInputs, reporter: Reporter
) -> tuple[Sound, ...]:
    """Sounds for the report; none, with a warning, where a decoder does not run."""
    try:
        with contained():
            return write_listening(models, space, inputs.evaluation.codes)
    except WorkbenchError as error:
        reporter.warn(f"no sounds were written for the report: {error}")
        return ()


def _import_record(root: Path, models: Sequence[Model]) -> ImportRecord | None:
    """What `vampbench import` wrote beside the models of a run; None where it wrote nothing."""
    folders = dict.fromkeys((root / (m.path or "")).parent for m in models)
    for folder in folders:
        # A file of that name may be another tool's: then the models have no record of ours.
        with suppress(InputError):
            return read_record(ImportRecord, IMPORT, folder / RECORD_NAME)
    return None


def provenance_of(model: ir.Model) -> tuple[str, bool]:
    """The kind of weights, and whether this workbench wrote the graph."""
    weights = model.metadata_props.get(WEIGHTS_KEY, "unknown")
    return weights, ROLE_KEY in model.metadata_props
