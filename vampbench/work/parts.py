"""What ships of a run: the chosen variant of each model, with what it must answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.model_feeds import EVALUATION, side_feeds
from calibration.feeds.source import Source
from profiles.bundle.make import Part, promise, reached
from profiles.bundle.ort_format import in_ort_format
from profiles.targets.contract import Target
from vampbench.work.goldens import Golden, golden_of, kept_golden
from vampbench.work.workspace import Workspace
from vampnet_models.chain.families import of_family
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.records.profiles import Measurement, Profile, measured_on
from vampnet_models.records.results import FP32, Model, Results, Variant
from vampnet_models.spec import CHAIN_ROLES, Role


def parts_of(
    results: Results,
    root: Path,
    chosen: dict[str, str],
    target: Target,
    scratch: Path,
    reporter: Reporter,
) -> list[Part]:
    """What ships: the chain's models of a run, or all of them where it has none of those."""
    chain = [role.value for role in CHAIN_ROLES]
    models = [m for m in results.models if m.role in chain and m.name in chosen]
    models = models or [m for m in results.models if m.name in chosen]
    goldens = _goldens(models, root, scratch, reporter)
    return [_part(m, goldens[m.name], chosen[m.name], root, target) for m in models]


def left_out(results: Results, packed: Collection[str]) -> Iterator[str]:
    """Why each other model of a run does not ship, a line each; those not come to yet apart."""
    for model in results.models:
        if model.name in packed:
            continue
        if any(v.usable for v in model.variants):
            why = f"as a {model.role} model it is no part of the chain that ships"
        else:
            reasons = (v.reason for v in model.variants if v.reason)
            why = f"it has no usable variant: {next(reasons, 'none was made')}"
        yield f"{model.name} is not in the bundle: {why}"
    for skipped in results.skipped:
        yield f"{skipped.path} is not in the bundle: {skipped.reason}"


def _goldens(
    models: list[Model], root: Path, scratch: Path, reporter: Reporter
) -> dict[str, Golden]:
    """What each source answered: as the run kept it, else by running the sources now."""
    space = Workspace(root)
    kept = {m.name: kept_golden(space.golden(m.name), m.source_sha256 or "") for m in models}
    found = {name: golden for name, golden in kept.items() if golden is not None}
    missing = [m for m in models if m.name not in found]
    if missing:
        sources = {m.name: _source(root, m) for m in models}
        inputs = prepare_inputs(tuple(sources.values()), Source(), scratch, 0, reporter)
        for name in (m.name for m in missing):
            evaluation = side_feeds(sources[name], inputs, EVALUATION, 0, reporter)
            golden = golden_of(sources[name], evaluation)
            if golden is None:
                raise InputError(f"{sources[name].path}: answers nothing that a bundle can promise")
            found[name] = golden
    return found


def _measured(profiles: dict[str, Profile], target: Target) -> Measurement | None:
    """The measured profile of the target's own provider, else the CPU's; None without one.

    Where the time goes stands in the run's results and would only weigh here.
    """
    found = measured_on(profiles, target.profiler.name) or measured_on(profiles, "cpu")
    return None if found is None else replace(found, operator_times=None, peaks=None)


def _source(root: Path, model: Model) -> Artifact:
    path = root / (model.path or "")
    if not path.is_file():
        raise InputError(
            f"{path}: the source model is not there, and the run kept no answer of it; put it "
            "there, or run again"
        )
    artifact = of_family(open_artifact(path), model.family)
    if artifact.sha256 != model.source_sha256:
        raise InputError(f"{artifact.path}: changed since the run; run again")
    return artifact


def _part(model: Model, golden: Golden, recipe: str, root: Path, target: Target) -> Part:
    variant = _shipped(model, recipe)
    record = variant.record
    portable = None
    if record is not None and record.custom_operators:
        portable = _part(model, golden, _portable_of(model, variant), root, target)
    artifact = of_family(open_artifact(root / (variant.path or "")), model.family)
    made = model.source_sha256 if variant.record is None else variant.record.sha256
    if artifact.sha256 != made:
        raise InputError(f"{artifact.path}: changed since the run; run again")
    output, references = golden.output, golden.references
    sounds = model.role != Role.GENERIC.value
    # Tokens and sound are what a model of the chain is for; of another, nobody can know.
    references = {output: references[output]} if sounds else references
    reference = references[output]
    numbers = (Role.CODEC_DECODER.value, Role.GENERIC.value)
    if model.role not in numbers and not np.issubdtype(reference.dtype, np.integer):
        raise InputError(
            f"{artifact.path}: gives no tokens that a bundle could promise; import the original"
        )
    answers = open_session(artifact.path, portable_instead=False).run(golden.feeds)
    for name, expected in references.items():
        if name not in answers or answers[name].shape != expected.shape:
            raise InputError(f"{artifact.path}: answers {name} in another shape than its source")
    counted = np.ones((1,) * reference.ndim, bool)
    if "mask" in golden.feeds and output == "tokens":
        counted = golden.feeds["mask"][:, -reference.shape[1] :].astype(bool)
    return Part(
        name=model.name,
        artifact=artifact,
        recipe=recipe,
        source_sha256=golden.source_sha256,
        output=output,
        feeds=golden.feeds,
        references=references,
        variants={name: answers[name] for name in references},
        counted=counted,
        accuracy=variant.accuracy,
        profile=_measured(variant.profiles, target),
        sounds=sounds,
        portable=portable,
    )


def _shipped(model: Model, recipe: str) -> Variant:
    """The variant of a recipe; of FP32 the source, with its own times and nothing lost."""
    if recipe == FP32:
        return Variant(FP32, "ok", model.path, model.source_bytes, profiles=model.profiles)
    return next(v for v in model.variants if v.recipe == recipe)


def _portable_of(model: Model, native: Variant) -> str:
    """The recipe of the model that lies beside a native one. Raises InputError without it."""
    path = Path(native.path or "")
    named = None if native.record is None else native.record.portable
    beside = path.with_name(named or "")
    for each in model.variants:
        if each.usable and each.path is not None and Path(each.path) == beside:
            return each.recipe
    raise InputError(f"{path}: the run has no portable model beside it; run again")


def part_in_ort_format(part: Part, scratch: Path, reporter: Reporter) -> Part:
    """The part with its ORT-format file, whose answers must keep what the .onnx file promises.

    Raises PromiseMissed where they do not.
    """
    with reporter.task(f"{part.name}: converting to ORT format"):
        shipped = in_ort_format(part.artifact, scratch)
    if shipped.path is None:
        return replace(part, shipped=shipped)
    answered = open_session(shipped.path).run(part.feeds, list(part.references))
    made = replace(part, variants=answered, shipped=shipped)
    for output in part.references:
        found, promised = reached(made, output), promise(part, output)
        if found < promised:
            raise PromiseMissed(
                f"{part.name}: its ORT-format file answers {output} {found:.4g} as FP32, the "
                f".onnx file promised {promised:.4g}; bundle the .onnx file"
            )
    return made
