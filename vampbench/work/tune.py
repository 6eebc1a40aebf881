"""The job of `tune`: a search, and the folder with the models that it chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.lengths import accepted_by
from calibration.feeds.source import Source
from optimize.decide import set_of
from optimize.recipes import portable_name
from optimize.tuning.candidates import TunedModel, blocks_of
from optimize.tuning.goal import SearchGoal
from optimize.tuning.search import ModelSet, front, nearest, rank
from optimize.tuning.tune import HeldOut, tune
from optimize.tuning.worth import verdict
from optimize.variant import read_record, record_path, write_record
from profiles.profile import REFERENCE
from profiles.report.render import write_report
from profiles.sets import is_noisy
from profiles.targets import order
from profiles.targets.cpu_native import CPU_NATIVE
from vampbench.work.goldens import keep_golden
from vampbench.work.results import provenance_of, results_of, source_of
from vampbench.work.runtime import check_variants
from vampbench.work.workspace import Workspace
from vampnet_models.chain.members import open_all
from vampnet_models.onnxfile.artifact import (
    check_output,
    copy_model,
    load_model,
    open_artifact,
    owned_data,
)
from vampnet_models.onnxfile.portable import native_beside
from vampnet_models.progress import Reporter
from vampnet_models.records import files
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.generic import RESULTS, TUNING
from vampnet_models.records.results import BothCoverages, Decision, Model, Variant
from vampnet_models.records.tuning import (
    Candidate,
    CandidateSet,
    ChosenModel,
    NearSet,
    Prefer,
    Tuning,
    UniformSet,
)

_MAX_FRONT = 12


def tune_set(
    paths: tuple[Path, ...],
    out: Path,
    source: Source,
    goal: SearchGoal,
    command: str,
    reporter: Reporter,
) -> Tuning:
    """Search, choose, verify and write; the contents of tune.json.

    `command` is what the user typed, for the record.

    Raises InputError when a model cannot be read or fed, or when there is no usable audio.
    """
    space = Workspace(out)
    artifacts, skipped = open_all(paths, reporter, source.sample_rate_hz)
    check_output(space.results, *paths)
    space.check_models(artifacts)
    source = source.of(artifacts, reporter).opened(artifacts, reporter)
    space.open()
    inputs = prepare_inputs(artifacts, source, space.work(), goal.threads, reporter)
    search = tune(artifacts, inputs, space.work(), goal, reporter)
    tuned, sets, chosen = search.tuned, search.sets, search.chosen
    models: list[ChosenModel] = []
    if chosen is not None:
        published = [
            _publish(tuned[p.model], p, search.held_out, out, goal, reporter) for p in chosen.parts
        ]
        models = [model for model, _ in published]
        entries = [entry for _, entry in published]
        results = results_of(command, inputs, entries, skipped, space, reporter)
        judged = [f"{m.name} {m.recipe}: {m.judged}" for m in models if m.judged is not None]
        reasons = (verdict(chosen, search.uniform, goal.prefer).text, *judged)
        results = replace(results, decision=_decision(entries, chosen, reasons, goal))
        files.write_record(results, RESULTS, space.results)
        write_report(space.results, space.report)
    elif space.results.is_file():
        reporter.warn(f"{out} still holds the models and the report of an earlier search")
    result = Tuning(
        command=command,
        wish=goal.asked,
        target=CPU_NATIVE.name if goal.native else goal.target.name,
        met=chosen is not None,
        chosen=None if chosen is None else CandidateSet(**_figures(chosen)),
        uniform=_uniform(search.uniform),
        verdict=verdict(chosen, search.uniform, goal.prefer, search.short),
        reverted=tuple(search.reverted),
        noisy=any(is_noisy(each) for found in tuned.values() for each in found.profiles.values()),
        smallest=CandidateSet(**_figures(_best(sets, "smallest"))),
        fastest=CandidateSet(**_figures(_best(sets, "fastest"))),
        front=tuple(CandidateSet(**_figures(each)) for each in _thinned(front(sets))),
        nearest=()
        if chosen is not None
        else tuple(NearSet(**_figures(s), keeps=keeps) for keeps, s in nearest(sets, goal.budget)),
        seeded=any(_provenance(each)[0] == "seeded" for each in tuned.values()),
        models=tuple(models),
    )
    files.write_record(result, TUNING, space.tuning)
    return result


def _publish(
    tuned: TunedModel,
    part: Candidate,
    held_out: HeldOut,
    out: Path,
    goal: SearchGoal,
    reporter: Reporter,
) -> tuple[ChosenModel, Model]:
    """Copy a chosen variant with its record to OUT; its entries of tune.json and results.json."""
    accuracy, free = held_out.accuracy(part), held_out.free_running(part)
    blocks = blocks_of(tuned, part.recipe)
    made = [_copied(tuned, part.recipe, accuracy, out)]
    if (portable := portable_name(part.recipe)) != part.recipe:
        made.append(_copied(tuned, portable, _accuracy_of(portable, tuned, held_out), out))
    else:
        _remove_native(out / f"{part.model}.onnx")
    variants = check_variants(made, out, tuned.evaluation.feeds[0], reporter)
    keep_golden(tuned.artifact, tuned.evaluation, Workspace(out))
    found = source_of(tuned.artifact, out)
    weights, made_here = _provenance(tuned)
    entry = replace(
        found,
        weights=weights,
        made_here=made_here,
        lengths=accepted_by(tuned.artifact),
        profiles=tuned.profiles[REFERENCE],
        variants=variants,
        coverage=BothCoverages(tuned.calibration.coverage(), tuned.evaluation.coverage()),
        evaluation_sha256=tuned.evaluation.sha256,
        blocks=blocks,
        free_running=free,
    )
    judgement = held_out.judgement(part, goal)
    chosen = ChosenModel(
        found.name,
        found.role,
        part.recipe,
        part.bytes,
        accuracy,
        free,
        blocks,
        part.grades,
        None if judgement is None else judgement.text,
    )
    return chosen, entry


def _copied(tuned: TunedModel, recipe: str, accuracy: AccuracyReport | None, out: Path) -> Variant:
    """A candidate with its record in OUT."""
    source = open_artifact(tuned.built[recipe])
    path = copy_model(source, out)
    write_record(read_record(record_path(source.path)), record_path(path))
    return Variant(
        recipe=recipe,
        status="ok",
        path=path.name,
        bytes=source.bytes,
        accuracy=accuracy,
        profiles=tuned.profiles.get(recipe, {}),
        record=read_record(record_path(path)),
    )


def _accuracy_of(recipe: str, tuned: TunedModel, held_out: HeldOut) -> AccuracyReport | None:
    """What a portable model gives on held-out data; None where it was no candidate."""
    found = next((each for each in tuned.candidates if each.recipe == recipe), None)
    return None if found is None else held_out.accuracy(found)


def _remove_native(portable: Path) -> None:
    """What an earlier search left: a native model whose portable one is replaced."""
    native = native_beside(portable)
    for each in (*owned_data(native), native, record_path(native)):
        each.unlink(missing_ok=True)


def _decision(
    models: Sequence[Model], chosen: ModelSet, reasons: tuple[str, ...], goal: SearchGoal
) -> dict[str, Decision]:
    """The chosen set is the one answer, for every target that it runs on."""
    parts = {part.model: part.recipe for part in chosen.parts}
    needs_library = any(portable_name(recipe) != recipe for recipe in parts.values())
    criterion = goal.criterion
    grade = "the bounds of the search" if criterion is None else criterion.name
    made = {}
    for target in (CPU_NATIVE,) if needs_library else order.TARGETS:
        found = set_of(models, parts, target)
        fastest = found if target.profiler.name == goal.target.name else None
        made[target.name] = Decision(grade, found, fastest, reasons)
    return made


def _provenance(tuned: TunedModel) -> tuple[str, bool]:
    return provenance_of(load_model(tuned.artifact.path))


def _best(sets: Sequence[ModelSet], prefer: Prefer) -> ModelSet:
    return min(sets, key=lambda s: rank(s, prefer))


def _thinned(sets: Sequence[ModelSet]) -> list[ModelSet]:
    step = max(1, -(-len(sets) // _MAX_FRONT))
    return [*sets[:-1:step], sets[-1]]


def _uniform(uniform: ModelSet | None) -> UniformSet | None:
    if uniform is None:
        return None
    return UniformSet(**_figures(uniform), recipe=uniform.parts[0].recipe)


def _figures(found: ModelSet) -> dict[str, Any]:
    """Of a set that is recorded: what it is made of, and what that gives."""
    return {field.name: getattr(found, field.name) for field in fields(CandidateSet)}
