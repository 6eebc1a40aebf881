"""The main job: models in; variants, accuracy, profiles, results and a report out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial

from calibration.feeds.chain_inputs import ChainInputs, prepare_inputs
from calibration.feeds.evidence import Evidence, kept_evidence
from calibration.feeds.feedset import FeedSet, save_feed
from calibration.feeds.kept_feeds import kept_feeds
from calibration.feeds.lengths import accepted_by, profile_feed
from calibration.feeds.model_evidence import evidence_of
from calibration.feeds.model_feeds import feeds_key, feeds_of
from calibration.ranges.collect import kept_calibration
from optimize.build import build_variant
from optimize.decide import decide
from optimize.recipes import EVERY_RECIPE, Recipe
from optimize.truth.accuracy import WAY_OF_JUDGING, Truth, compare, reference_truth
from optimize.truth.grades import too_few
from optimize.truth.song.prompts import Prompts
from optimize.truth.status import status_of, unbounded
from profiles.host import describe_host
from profiles.measure.rounds import Plan
from profiles.profile import REFERENCE, profile_variants
from profiles.report.render import write_report
from vampbench.work.asked import Job
from vampbench.work.goldens import keep_golden
from vampbench.work.outside import look_outside
from vampbench.work.results import provenance_of, results_of, source_of
from vampbench.work.runtime import check_variants, warn_not_probed
from vampbench.work.set_song import with_set_songs
from vampbench.work.song import PLAYING, check_playing, prompts_for, with_songs
from vampbench.work.tuned_variants import tuned_variants
from vampbench.work.workspace import Workspace
from vampnet_models.cache import key_of, remember
from vampnet_models.chain.families import unrated
from vampnet_models.chain.members import in_turn, open_all
from vampnet_models.errors import NotApplicable, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import (
    Artifact,
    check_output,
    load_model,
    open_artifact,
)
from vampnet_models.onnxfile.portable import native_beside
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.files import recall_record, write_record
from vampnet_models.records.generic import RESULTS, as_json
from vampnet_models.records.profiles import Failure, Profiles
from vampnet_models.records.results import (
    BothCoverages,
    FailedStep,
    Model,
    Results,
    Variant,
)
from vampnet_models.repair.inspection import problems_of

_LOOKING = "looking at the model"
_RANGES = "comparing ranges with the evaluation data"
_GRAPHS = "reading the runtime's graphs back"
_PROFILING = "profiling"
_KEEPING = "keeping what a bundle must answer"
_STEPS = ("feeds", _RANGES, _GRAPHS, _PROFILING)
"""Of every model, beside making, verifying and hearing each variant; what takes no time is none."""


Ahead = Callable[[Job, list[Artifact], ChainInputs, Workspace, Reporter], None]


def run_job(job: Job, reporter: Reporter, ahead: Ahead | None = None) -> Results:
    """Do the job; what it found. results.json is written after every model.

    `ahead` may do steps elsewhere first: what it leaves in the folder is found and not done again.

    Raises InputError when nothing can be done: no readable model, no usable audio, an output
    folder that cannot be written.
    """
    space = Workspace(job.out)
    artifacts, skipped = open_all(job.models, reporter, job.source.sample_rate_hz)
    check_output(space.results, *job.models)
    space.check_models(artifacts)
    if job.song:
        check_playing(artifacts)
    source = job.source.of(artifacts, reporter).opened(artifacts, reporter)
    space.open()
    inputs = prepare_inputs(artifacts, source, space.work(), job.threads, reporter)
    apart = job.source.evaluation_audio is not None
    few = too_few(inputs.evaluation.recordings, job.criterion, all_judge=apart)
    if few is not None:
        reporter.warn(few)
    prompts = prompts_for(inputs, reporter) if job.song else ()
    if ahead is not None:
        ahead(job, artifacts, inputs, space, reporter)
    models: list[Model] = []
    results = Results()
    for artifact in in_turn(artifacts, reporter):
        heard = prompts if artifact.role in PLAYING else ()
        tuned = tuned_variants(artifact, job, space, inputs, reporter)
        reporter.plan(len(_STEPS) + (2 + len(heard)) * (len(job.recipes) + len(tuned)))
        models.append(_model(artifact, job, space, inputs, heard, tuned, reporter))
        reporter.tell_kept()
        pending = [each.name for each in artifacts[len(models) :]]
        results = results_of(job.command, inputs, models, skipped, space, reporter, pending)
        results = replace(
            results,
            song_prompts=tuple(each.record for each in prompts),
            decision=decide(results, job.criterion),
        )
        write_record(results, RESULTS, space.results)
    reporter.plan(0)
    if prompts:
        results = with_set_songs(results, artifacts, prompts[0], space, reporter)
        write_record(results, RESULTS, space.results)
    try:
        with contained():
            write_report(space.results, space.report)
    except WorkbenchError as error:
        # Hours of figures stand in results.json: they are worth more than the page about them.
        reporter.error(f"{space.report}: not written: {error}")
    return results


def _model(
    artifact: Artifact,
    job: Job,
    space: Workspace,
    inputs: ChainInputs,
    prompts: Sequence[Prompts],
    tuned: Sequence[Variant],
    reporter: Reporter,
) -> Model:
    """Everything about one model; a step that fails names its reason and the rest goes on.

    `tuned` are variants that were made already. Where nothing can be fed, every recipe has failed,
    for that reason.
    """
    found = source_of(artifact, space.root)
    if (unknown := unrated(artifact)) is not None:
        reporter.warn(unknown)
    failed: list[FailedStep] = []
    step = partial(_step, artifact.name, failed, reporter)
    unfed: WorkbenchError | None = None
    reporter.reach()
    try:
        with contained():
            calibration, evaluation = both_feeds(artifact, job, space, inputs, reporter)
            evidence = evidence_for(artifact, evaluation, space, inputs)
    except WorkbenchError as error:
        reporter.warn(f"{artifact.name}: {error}")
        unfed = error
    with step(_LOOKING):
        found = _looked_at(found, artifact, reporter)
    if unfed is not None:
        variants = tuple(Variant(recipe, "failed", reason=str(unfed)) for recipe in job.recipes)
        return replace(found, variants=variants, failed_steps=tuple(failed))
    for warning in calibration.warnings:
        reporter.warn(f"{artifact.name}: {warning}")
    coverage = BothCoverages(calibration.coverage(), evaluation.coverage())
    made = (
        build(artifact, recipe, calibration, space, reporter)
        for recipe in EVERY_RECIPE
        if recipe.name in job.recipes
    )
    variants = (*made, *tuned)
    with step(_RANGES):
        outside = look_outside(artifact, variants, calibration, evaluation, space, reporter)
        coverage = replace(coverage, outside=outside)
    variants = verify(artifact, variants, evaluation, evidence, job, space, reporter)
    variants = with_songs(artifact, variants, prompts, space, reporter)
    with step(_GRAPHS):
        variants = check_variants(variants, space.root, evaluation.feeds[0], reporter)
    profiles: Profiles = {}
    with step(_PROFILING):
        profiles = profile(artifact, variants, evaluation, job, space, reporter)
    with step(_KEEPING):
        keep_golden(artifact, evaluation, space)
    return replace(
        found,
        coverage=coverage,
        evaluation_sha256=evaluation.sha256,
        profiles=profiles.get(REFERENCE, {}),
        variants=tuple(replace(v, profiles=profiles.get(v.recipe, {})) for v in variants),
        failed_steps=tuple(failed),
    )


def _looked_at(found: Model, artifact: Artifact, reporter: Reporter) -> Model:
    """With what the graph says; a problem that makes the model useless is told."""
    model = load_model(artifact.path)
    weights, made_here = provenance_of(model)
    problems = tuple(problems_of(artifact, model))
    lengths = accepted_by(artifact)
    for problem in problems:
        if problem.fatal:
            reporter.warn(f"{artifact.name}: {problem.text}")
    return replace(found, weights=weights, made_here=made_here, problems=problems, lengths=lengths)


@contextmanager
def _step(name: str, failed: list[FailedStep], reporter: Reporter, what: str) -> Iterator[None]:
    """A step that others can do without: why it failed is named, and stands in the results."""
    if what in _STEPS:
        reporter.reach()
    try:
        with contained():
            yield
    except WorkbenchError as error:
        reporter.warn(f"{name}: {what} failed: {error}")
        failed.append(FailedStep(what, str(error)))


def both_feeds(
    artifact: Artifact, job: Job, space: Workspace, inputs: ChainInputs, reporter: Reporter
) -> tuple[FeedSet, FeedSet]:
    """Calibration and evaluation feeds, made or found. Raises WorkbenchError without any."""
    return kept_feeds(
        space.work("feeds"),
        artifact.name,
        feeds_key(artifact, inputs),
        lambda: feeds_of(artifact, inputs, job.threads, reporter),
        reporter,
    )


def evidence_for(
    artifact: Artifact, evaluation: FeedSet, space: Workspace, inputs: ChainInputs
) -> Evidence:
    """What the costs of a model's variants are measured on, made or found."""
    return kept_evidence(
        space.work("feeds"),
        artifact.name,
        feeds_key(artifact, inputs),
        lambda: evidence_of(artifact, inputs, evaluation),
    )


def build(
    artifact: Artifact, recipe: Recipe, calibration: FeedSet, space: Workspace, reporter: Reporter
) -> Variant:
    """Make a variant, or find it made; its entry of results.json, with status and reason."""
    portable = space.variant(recipe.portable, artifact.name) if recipe.is_native else None
    path = (
        space.variant(recipe.name, artifact.name) if portable is None else native_beside(portable)
    )
    reporter.reach()
    try:
        with contained(NotApplicable), reporter.task(f"{artifact.name}: {recipe.name}") as update:
            made = build_variant(
                artifact,
                recipe,
                path,
                calibration=calibration,
                terms=kept_calibration(space.work("calibration"), artifact.name, recipe.name),
                portable=portable,
                progress=update,
            )
    except NotApplicable as error:
        return Variant(recipe.name, "not-applicable", reason=str(error))
    except WorkbenchError as error:
        reporter.warn(f"{artifact.name}: {recipe.name} failed: {error}")
        return Variant(recipe.name, "failed", reason=str(error))
    warn_not_probed(path, made.record, reporter)
    if made.reused:
        reporter.keep(recipe.name)
    for warning in made.record.warnings:
        reporter.warn(f"{artifact.name}: {recipe.name}: {warning}")
    return Variant(
        recipe=recipe.name,
        status="ok",
        path=str(path.relative_to(space.root)),
        bytes=made.record.bytes,
        record=made.record,
    )


def verify(
    artifact: Artifact,
    variants: Sequence[Variant],
    evaluation: FeedSet,
    evidence: Evidence,
    job: Job,
    space: Workspace,
    reporter: Reporter,
) -> tuple[Variant, ...]:
    """With accuracy and status; the reference runs only where something is not remembered."""
    truth = cache(lambda: _truth(artifact, evaluation, evidence, reporter))
    judged_by = key_of(artifact.sha256, evaluation.sha256, evidence.sha256, WAY_OF_JUDGING)
    judged = []
    for variant in variants:
        reporter.reach()
        judged.append(_judged(artifact, variant, truth, judged_by, job, space, reporter))
    asked = job.criterion.bounds
    found = (unbounded(v.accuracy, asked) for v in judged if v.accuracy is not None)
    if (why := next(filter(None, found), None)) is not None:
        reporter.warn(f"{artifact.name}: {why}")
    return tuple(judged)


def _judged(
    artifact: Artifact,
    variant: Variant,
    truth: Callable[[], Truth],
    judged_by: str,
    job: Job,
    space: Workspace,
    reporter: Reporter,
) -> Variant:
    made, recipe = variant.record, variant.recipe
    if variant.status != "ok" or variant.path is None or made is None:
        return variant
    key = key_of(judged_by, made.sha256)
    path = space.work("accuracy", artifact.name, f"{recipe}.json")
    found = recall_record(AccuracyReport, path, key)
    if found is not None:
        reporter.keep(f"comparison of {recipe}")
    else:
        try:
            with contained():
                reference = truth()
                with reporter.task(f"{artifact.name}: verifying {recipe}") as update:
                    found = compare(reference, open_artifact(space.root / variant.path), update)
                remember(path, key, as_json(found))
        except WorkbenchError as error:
            reporter.warn(f"{artifact.name}: {recipe} cannot be judged: {error}")
            return replace(variant, status="failed", reason=str(error))
    status, reason = status_of(found, job.criterion.bounds)
    return replace(variant, accuracy=found, status=status, reason=reason)


def _truth(
    artifact: Artifact, evaluation: FeedSet, evidence: Evidence, reporter: Reporter
) -> Truth:
    with reporter.task(f"{artifact.name}: reference answers") as update:
        return reference_truth(
            artifact, evaluation.feeds, update, sources=evaluation.sources, evidence=evidence
        )


def profile(
    artifact: Artifact,
    variants: Sequence[Variant],
    evaluation: FeedSet,
    job: Job,
    space: Workspace,
    reporter: Reporter,
) -> Profiles:
    """Measure the source and every usable variant against each other."""
    usable = [(v.recipe, v.path, v.record) for v in variants if v.usable]
    made = [(recipe, path, record) for recipe, path, record in usable if path and record]
    host = describe_host()
    key = key_of(
        artifact.sha256,
        *(record.sha256 for _, _, record in made),
        evaluation.sha256,
        job.targets,
        job.rounds,
        job.operators,
        job.scheduler or host.cpu,
        importlib.metadata.version("onnxruntime"),
        # What was made tells its family by its hash; a source may have it from the user alone.
        *(() if made else (artifact.spec.family,)),
    )
    kept = space.work("profiles", f"{artifact.name}.json")
    found = None if job.time_again else recall_record(Profiles, kept, key)
    if found is None:
        feed = space.work("feeds", f"{artifact.name}.npz")
        save_feed(profile_feed(artifact, evaluation.feeds[0]), feed)
        found = profile_variants(
            {REFERENCE: artifact.path, **{name: space.root / path for name, path, _ in made}},
            feed,
            job.targets,
            plan=Plan(rounds=job.rounds, budget_s=job.budget_s, cold=job.operators),
            operators=job.operators,
            family=artifact.spec.family,
            step=lambda place: reporter.task(f"{artifact.name}: profiling for {place}"),
        )
        if job.scheduler:
            found = {
                name: {t: replace(p, host=host) for t, p in each.items()}
                for name, each in found.items()
            }
        remember(kept, key, as_json(found))
    else:
        reporter.keep("profile")
    for name, targets in found.items():
        for target, record in targets.items():
            if isinstance(record, Failure):
                reporter.warn(f"{artifact.name}: {name} on {target}: {record.reason}")
    return found
