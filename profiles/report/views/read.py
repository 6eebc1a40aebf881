"""results.json as the report shows it: views over its record."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from profiles.report.views.run import (
    AudioFile,
    Block,
    FeedCoverage,
    Model,
    Run,
    Variant,
)
from vampnet_models.errors import InputError
from vampnet_models.records import results as records
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Results
from vampnet_models.records.variant import FloatNode, VariantRecord


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


def read_run(results: Results) -> Run:
    """What the report shows of a run."""
    return Run(
        version=results.tool.version,
        command=results.tool.command,
        created=results.created,
        host=tuple(results.host.items()),
        models=tuple(_model(model) for model in results.models),
        skipped=tuple((each.path, each.reason) for each in results.skipped),
        totals=results.totals,
        sets=results.sets,
        chains=results.chains,
        audio_set=results.audio_set,
        audio=tuple(_audio(each) for each in results.audio),
    )


def _model(model: records.Model) -> Model:
    sides = (("calibration", model.coverage.calibration), ("evaluation", model.coverage.evaluation))
    return Model(
        name=model.name,
        role=model.role,
        source_bytes=model.source_bytes,
        source_sha256=model.source_sha256,
        weights=model.weights,
        profiles=model.profiles,
        variants=tuple(_variant(variant) for variant in model.variants),
        blocks=tuple(_block(block) for block in model.blocks),
        coverage=tuple(
            FeedCoverage(side, **{f.name: getattr(found, f.name) for f in fields(found)})
            for side, found in sides
            if found is not None
        ),
        outside=model.coverage.outside,
        failed_steps=tuple(f"{each.step}: {each.reason}" for each in model.failed_steps),
        problems=model.problems,
        family=model.family,
    )


def _block(block: records.Block) -> Block:
    # Runs of earlier versions hold the words alone.
    why = block.why.text if isinstance(block.why, records.Why) else block.why
    return Block(block.block, block.chosen, block.options, why)


def _variant(variant: records.Variant) -> Variant:
    made = variant.record
    return Variant(
        recipe=variant.recipe,
        path=variant.path,
        bytes=variant.bytes,
        status=variant.status,
        reason=variant.reason,
        accuracy=variant.accuracy or _NOT_COMPARED,
        profiles=variant.profiles,
        float_nodes=() if made is None else _float_nodes(made),
        unmatched=() if made is None else made.unmatched,
        fusions={} if made is None else made.fusions,
        precision={} if made is None else made.precision,
        warnings=() if made is None else made.warnings,
        runtime=None if made is None else made.runtime,
    )


_NOT_COMPARED = AccuracyReport(n_positions=None, nonfinite=None)


def _float_nodes(made: VariantRecord) -> tuple[FloatNode, ...]:
    """Those left in float, then those in another precision, which stands before the reason."""
    mixed = (
        FloatNode(node.node, node.op_type, f"{node.precision}: {node.reason}")
        for node in made.mixed_nodes
    )
    return (*made.float_nodes, *mixed)


def _audio(sound: records.Sound | str) -> AudioFile:
    if isinstance(sound, str):
        return AudioFile(sound, sound, None)
    return AudioFile(sound.path, sound.name or sound.path, sound.note)
