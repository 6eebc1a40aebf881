"""The main job: models in; variants, accuracy, profiles, results and a report out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from calibration.feeds.chain_feeds import FeedSet, save_feed
from calibration.feeds.chain_inputs import (
    ChainInputs,
    feeds_key,
    feeds_of,
    prepare_inputs,
)
from calibration.feeds.kept_feeds import kept_feeds
from calibration.feeds.lengths import accepted_by, profile_feed
from calibration.feeds.source import Source
from calibration.ranges.collect import kept_calibration
from optimize.build import build_variant
from optimize.recipes import ALL_RECIPES, RECIPES, Recipe
from optimize.truth.accuracy import Truth, compare, reference_truth
from profiles.host import describe_host
from profiles.measure.rounds import Plan
from profiles.place import Place
from profiles.profile import REFERENCE, profile_variants
from profiles.report.render import write_report
from profiles.targets.order import parse_targets, profilers
from vampbench.work.goldens import keep_golden
from vampbench.work.outside import look_outside
from vampbench.work.results import provenance_of, results_of
from vampbench.work.runtime import check_variants, warn_not_probed
from vampbench.work.workspace import Workspace, relative_to
from vampnet_models.cache import Json, key_of, recall, remember
from vampnet_models.chain.members import in_turn, open_all
from vampnet_models.errors import NotApplicable, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import (
    Artifact,
    check_output,
    load_model,
    open_artifact,
)
from vampnet_models.progress import Reporter
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Results
from vampnet_models.repair.inspection import problems_of

_LOOKING = "looking at the model"
_RANGES = "comparing ranges with the evaluation audio"
_GRAPHS = "reading the runtime's graphs back"
_PROFILING = "profiling"
_KEEPING = "keeping what a bundle must answer"
_STEPS = ("feeds", _LOOKING, _RANGES, _GRAPHS, _PROFILING, _KEEPING)
"""Of every model, beside making and verifying each variant."""


@dataclass(frozen=True)
class Job:
    """What to do with which models.

    Attributes:
        models: files of float32 models, of one chain or of none.
        out: the folder that receives variants, results and report.
        command: what the user typed, for the record.
        source: where the models' feeds come from; the built-in recordings by default.
        recipes: names, in order; all of the main ones by default.
        targets: where variants are profiled; CPU, CUDA and phones by default.
        min_agreement: least share of equal tokens, 0 to 1; without one nothing is missed.
        threads: of the runtime; 0, the default, leaves it the choice.
        rounds: timed runs of each variant; 20 by default.
        budget_s: after so many seconds a model's timed runs stop early; 20 by default.
        operators: also measure kernel times, the roofline and the cold start.
        scheduler: the address of a cluster whose machines have measured, not this one.
        time_again: measure once more what was timed on a busy machine; kept by default.
    """

    models: tuple[Path, ...]
    out: Path
    command: str
    source: Source = field(default_factory=Source)
    recipes: tuple[str, ...] = tuple(r.name for r in RECIPES)
    targets: tuple[Place, ...] = parse_targets(",".join(p.name for p in profilers()))
    min_agreement: float | None = None
    threads: int = 0
    rounds: int = 20
    budget_s: float = 20.0
    operators: bool = False
    scheduler: str = ""
    time_again: bool = False


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
    source = job.source.of(artifacts, reporter).opened(artifacts, reporter)
    space.open()
    inputs = prepare_inputs(artifacts, source, space.work(), job.threads, reporter)
    if ahead is not None:
        ahead(job, artifacts, inputs, space, reporter)
    models: list[Json] = []
    results = Results()
    steps = len(_STEPS) + 2 * len(job.recipes)
    for artifact in in_turn(artifacts, reporter):
        reporter.plan(steps)
        models.append(_model(artifact, job, space, inputs, reporter))
        reporter.tell_kept()
        results = results_of(job.command, inputs, models, skipped, space, reporter)
        write_record(results, RESULTS, space.results)
    reporter.plan(0)
    try:
        with contained():
            write_report(space.results, space.report)
    except WorkbenchError as error:
        # Hours of figures stand in results.json: they are worth more than the page about them.
        reporter.error(f"{space.report}: not written: {error}")
    return results


def _model(
    artifact: Artifact, job: Job, space: Workspace, inputs: ChainInputs, reporter: Reporter
) -> Json:
    """Everything about one model; a step that fails names its reason and the rest goes on.

    Where nothing can be fed, every recipe has failed, for that reason.
    """
    facts: Json = {
        "name": artifact.name,
        "role": artifact.role.value,
        "path": relative_to(space.root, artifact.path),
        "source_bytes": artifact.bytes,
        "source_sha256": artifact.sha256,
        "weights": "unknown",
        "made_here": None,
        "lengths": None,
        "family": None if artifact.spec.family is None else asdict(artifact.spec.family),
        "problems": [],
        "failed_steps": [],
        "profiles": {},
        "variants": [],
    }
    reporter.reach()
    try:
        with contained():
            calibration, evaluation = both_feeds(artifact, job, space, inputs, reporter)
    except WorkbenchError as error:
        reporter.warn(f"{artifact.name}: {error}")
        facts["variants"] = [_failed(recipe, str(error)) for recipe in job.recipes]
    with _step(_LOOKING, facts, reporter):
        model = load_model(artifact.path)
        facts |= provenance_of(model)
        facts["problems"] = [asdict(problem) for problem in problems_of(artifact, model)]
        facts["lengths"] = accepted_by(artifact)
        for problem in facts["problems"]:
            if problem["fatal"]:
                reporter.warn(f"{artifact.name}: {problem['text']}")
    if facts["variants"]:
        return facts
    for warning in calibration.warnings:
        reporter.warn(f"{artifact.name}: {warning}")
    facts["coverage"] = {
        "calibration": asdict(calibration.coverage()),
        "evaluation": asdict(evaluation.coverage()),
    }
    variants = [
        build(artifact, recipe, calibration, space, reporter)
        for recipe in ALL_RECIPES
        if recipe.name in job.recipes
    ]
    facts["variants"] = variants
    with _step(_RANGES, facts, reporter):
        facts["coverage"]["outside"] = look_outside(
            artifact, variants, calibration, evaluation, space, reporter
        )
    verify(artifact, variants, evaluation, job, space, reporter)
    with _step(_GRAPHS, facts, reporter):
        check_variants(variants, space.root, evaluation.feeds[0], reporter)
    with _step(_PROFILING, facts, reporter):
        profile(artifact, facts, variants, evaluation, job, space, reporter)
    with _step(_KEEPING, facts, reporter):
        keep_golden(artifact, evaluation, space)
    return facts


@contextmanager
def _step(what: str, facts: Json, reporter: Reporter) -> Iterator[None]:
    """A step that others can do without: why it failed is named, and stands in the results."""
    reporter.reach()
    try:
        with contained():
            yield
    except WorkbenchError as error:
        reporter.warn(f"{facts['name']}: {what} failed: {error}")
        facts["failed_steps"].append({"step": what, "reason": str(error)})


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


def build(
    artifact: Artifact, recipe: Recipe, calibration: FeedSet, space: Workspace, reporter: Reporter
) -> Json:
    """Make a variant, or find it made; its entry of results.json, with status and reason."""
    path = space.variant(recipe.name, artifact.name)
    reporter.reach()
    try:
        with contained(NotApplicable), reporter.task(f"{artifact.name}: {recipe.name}") as update:
            made = build_variant(
                artifact,
                recipe,
                path,
                calibration=calibration,
                terms=kept_calibration(space.work("calibration"), artifact.name, recipe.name),
                progress=update,
            )
    except NotApplicable as error:
        return _failed(recipe.name, str(error), status="not-applicable")
    except WorkbenchError as error:
        reporter.warn(f"{artifact.name}: {recipe.name} failed: {error}")
        return _failed(recipe.name, str(error))
    warn_not_probed(path, made.record, reporter)
    if made.reused:
        reporter.keep(recipe.name)
    record = asdict(made.record)
    for warning in record["warnings"]:
        reporter.warn(f"{artifact.name}: {recipe.name}: {warning}")
    return {
        "recipe": recipe.name,
        "path": str(path.relative_to(space.root)),
        "bytes": record["bytes"],
        "status": "ok",
        "reason": None,
        "accuracy": None,
        "profiles": {},
        "record": record,
    }


def _failed(recipe: str, reason: str, status: str = "failed") -> Json:
    return {
        "recipe": recipe,
        "path": None,
        "bytes": None,
        "status": status,
        "reason": reason,
        "accuracy": None,
        "profiles": {},
        "record": None,
    }


def verify(
    artifact: Artifact,
    variants: list[Json],
    evaluation: FeedSet,
    job: Job,
    space: Workspace,
    reporter: Reporter,
) -> None:
    """Fill in accuracy and status; the reference runs only where something is not remembered."""
    truth: Truth | None = None
    for variant in variants:
        reporter.reach()
        if variant["status"] != "ok":
            continue
        key = key_of(artifact.sha256, variant["record"]["sha256"], evaluation.sha256)
        path = space.work("accuracy", artifact.name, f"{variant['recipe']}.json")
        found = recall(path, key)
        if found is None:
            try:
                with contained():
                    truth = truth or _truth(artifact, evaluation, reporter)
                    with reporter.task(f"{artifact.name}: verifying {variant['recipe']}") as update:
                        report = compare(truth, open_artifact(space.root / variant["path"]), update)
                    found = remember(path, key, report.as_json())
            except WorkbenchError as error:
                reporter.warn(f"{artifact.name}: {variant['recipe']} cannot be judged: {error}")
                variant["status"], variant["reason"] = "failed", str(error)
                continue
        else:
            reporter.keep(f"comparison of {variant['recipe']}")
        variant["accuracy"] = found
        variant["status"], variant["reason"] = judge(found, job.min_agreement)


def _truth(artifact: Artifact, evaluation: FeedSet, reporter: Reporter) -> Truth:
    with reporter.task(f"{artifact.name}: reference tokens") as update:
        return reference_truth(artifact, evaluation.feeds, update)


def judge(
    accuracy: Json, min_agreement: float | None
) -> tuple[Literal["ok", "missed", "failed"], str | None]:
    """The status of a variant that was compared, and the reason where it is not ok."""
    if accuracy["nonfinite"]:
        return "failed", f"{accuracy['nonfinite']} outputs are NaN or infinite"
    agreement = accuracy["token_agreement"]
    if min_agreement is not None and agreement is not None and agreement < min_agreement:
        what = "share of beats" if accuracy.get("per_beat_kind") else "token agreement"
        reason = f"{what} {agreement:.4f} is below the {min_agreement:g} asked for"
        return "missed", reason
    return "ok", None


def profile(
    artifact: Artifact,
    facts: Json,
    variants: list[Json],
    evaluation: FeedSet,
    job: Job,
    space: Workspace,
    reporter: Reporter,
) -> None:
    """Measure the source and every usable variant against each other."""
    usable = [v for v in variants if v["status"] in ("ok", "missed")]
    paths = {REFERENCE: artifact.path}
    paths |= {v["recipe"]: space.root / v["path"] for v in usable}
    host = describe_host()
    key = key_of(
        artifact.sha256,
        *(v["record"]["sha256"] for v in usable),
        evaluation.sha256,
        job.targets,
        job.rounds,
        job.operators,
        job.scheduler or host.cpu,
        importlib.metadata.version("onnxruntime"),
    )
    path = space.work("profiles", f"{artifact.name}.json")
    found = None if job.time_again else recall(path, key)
    if found is None:
        feed = space.work("feeds", f"{artifact.name}.npz")
        save_feed(profile_feed(artifact, evaluation.feeds[0]), feed)
        with reporter.task(f"{artifact.name}: profiling") as update:
            found = profile_variants(
                paths,
                feed,
                job.targets,
                plan=Plan(rounds=job.rounds, budget_s=job.budget_s, cold=job.operators),
                operators=job.operators,
                family=artifact.spec.family,
                progress=lambda done, total, _text: update(done, total),
            )
        if job.scheduler:
            found = {
                n: {t: r | {"host": host.as_json()} for t, r in f.items()} for n, f in found.items()
            }
        found = remember(path, key, found)
    else:
        reporter.keep("profile")
    facts["profiles"] = found.get(REFERENCE, {})
    for variant in usable:
        variant["profiles"] = found.get(variant["recipe"], {})
    for name, targets in found.items():
        for target, record in targets.items():
            if record.get("kind") == "failed":
                reporter.warn(f"{artifact.name}: {name} on {target}: {record['reason']}")
