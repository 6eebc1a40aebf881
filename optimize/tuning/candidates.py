"""The candidates of one model for `tune`: what each block costs, what was built, what it gives."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from calibration.feeds.chain_inputs import ChainInputs
from calibration.feeds.evidence import NO_EVIDENCE, Evidence
from calibration.feeds.feedset import FeedSet, save_feed
from calibration.feeds.kept_feeds import kept_feeds
from calibration.feeds.lengths import profile_feed
from calibration.feeds.model_evidence import evidence_of
from calibration.feeds.model_feeds import (
    LARGE_BYTES,
    SEARCH,
    SEARCH_OF_COSTS,
    feeds_key,
    feeds_of,
    side_feeds,
)
from optimize.build import build_variant
from optimize.fusions.order import Form, fuse
from optimize.precision.contract import traits_of
from optimize.recipes import RECIPES, Recipe
from optimize.truth.accuracy import WAY_OF_JUDGING, Truth, compare, reference_truth
from optimize.tuning import mixed
from optimize.tuning.enough import check_enough
from optimize.tuning.goal import SearchGoal, figures_of
from optimize.tuning.kept_trials import KeptTrials
from optimize.tuning.mixed import Assignment, Blocks, Calibrated, Grain
from optimize.tuning.no_smaller import WHOLE_MODEL, why_no_smaller
from optimize.tuning.refine import TARGETS
from optimize.tuning.search import assignments
from optimize.tuning.sensitivity import Effect
from profiles.measure.rounds import Plan
from profiles.profile import REFERENCE, profile_variants
from vampnet_models.cache import key_of
from vampnet_models.errors import InputError, NotApplicable, PromiseMissed
from vampnet_models.onnxfile.artifact import Artifact, load_model, open_artifact, save_model
from vampnet_models.onnxfile.portable import native_beside
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.files import remembered_record
from vampnet_models.records.profiles import Failure, Profile, Profiles, measured_on
from vampnet_models.records.results import Block
from vampnet_models.records.tuning import Candidate

_MAX_MIXTURES = 6
"""Mixtures from the smallest to the truest that are built and measured, per model."""

_SEARCH_STEPS = 6
"""Ahead of the candidates: both feeds, calibration, reference answers, trials, mixtures."""

_FINE_BYTES = 32 * 1024 * 1024
"""A codec below this is tried convolution by convolution: a trial takes a second or two."""


@dataclass
class TunedModel:
    """One model with all that was found out about it.

    Attributes:
        artifact: the float32 model.
        calibration: what it is calibrated on.
        search: other feeds of the calibration audio: what a search may look at.
        evaluation: feeds of held-out data, for the verdict alone.
        evidence: what costs are measured on, of the same data.
        truth: what the float32 model answers to the feeds of the search.
        searched_on: a hash of those feeds, and of what costs were measured on in the search.
        calibrated: ranges and moments, measured once for all mixtures.
        blocks: the nodes that get one precision together, by the block's name.
        effects: what each block costs in each precision.
        mixtures: which precision each block gets, by the name of the tuned recipe.
        built: the file of each variant that could be built, by recipe.
        profiles: its times by recipe and target, the reference's among them.
        candidates: those of `built` that may be chosen.
    """

    artifact: Artifact
    calibration: FeedSet
    search: FeedSet
    evaluation: FeedSet
    evidence: Evidence
    truth: Truth
    searched_on: str
    calibrated: Calibrated
    blocks: Blocks
    effects: dict[str, list[Effect]]
    mixtures: dict[str, Assignment] = field(default_factory=dict)
    built: dict[str, Path] = field(default_factory=dict)
    profiles: Profiles = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)


def candidates_of(
    artifact: Artifact,
    inputs: ChainInputs,
    cache: Path,
    goal: SearchGoal,
    reporter: Reporter,
    recipes: Sequence[Recipe] = RECIPES,
) -> TunedModel:
    """Measure every block in every precision, then build, compare and time what looks best.

    That is a few mixtures over the whole range, those near the bound on what is said, and the
    uniform `recipes`, the main ones by default. For a `native` goal each mixture is also built with
    the operators of the library. Every step is remembered under the hashes of what it depends on.
    Raises InputError when the model cannot be fed or run, PromiseMissed where there
    is too little audio for the costs that were asked for.
    """
    threads = goal.threads
    recipes = [r for r in recipes if goal.integers or r.integer_share is None]
    most = (_MAX_MIXTURES + len(TARGETS)) * (1 + goal.native) + len(recipes)
    reporter.plan(_SEARCH_STEPS + _steps_of(most))
    reporter.reach()
    calibration, evaluation = kept_feeds(
        cache / "feeds",
        artifact.name,
        feeds_key(artifact, inputs),
        lambda: feeds_of(artifact, inputs, threads, reporter),
        reporter,
    )
    evidence = evidence_of(artifact, inputs, evaluation)
    check_enough(artifact, evaluation, evidence, goal)
    for warning in calibration.warnings:
        reporter.warn(f"{artifact.name}: {warning}")
    reporter.reach()
    side, heard = SEARCH if goal.criterion is None else SEARCH_OF_COSTS, NO_EVIDENCE
    search = side_feeds(artifact, inputs, side, threads, reporter)
    if goal.criterion is not None:
        heard = evidence_of(artifact, inputs, search, inputs.calibration)
    searched_on = key_of(search.sha256, heard.sha256)
    with _fused(artifact, cache) as fused:
        graph = load_model(fused).graph
        traits = traits_of(artifact.spec, given=calibration.is_given)
        blocks = mixed.blocks_of(graph, _grain(artifact), traits)
        reporter.reach()
        with reporter.task(f"{artifact.name}: calibrating") as update:
            calibrated = mixed.calibrate(fused, calibration.feeds, cache, update, traits)
        reporter.reach()
        with reporter.task(f"{artifact.name}: reference answers of the search") as update:
            truth = reference_truth(
                artifact, search.feeds, update, sources=search.sources, evidence=heard
            )
        key = key_of(artifact.sha256, calibration.sha256, searched_on, WAY_OF_JUDGING, *_versions())
        trials = KeptTrials(artifact, fused, truth, blocks, calibrated, key, cache, reporter)
        reporter.reach()
        options = mixed.options_of(graph, blocks, traits, integers=goal.integers)
        effects = trials.effects(options)
        reporter.reach()
        near = trials.near_bound(effects, goal)
    proposed = assignments(effects, artifact.bytes, _MAX_MIXTURES)
    tuned = TunedModel(
        artifact,
        calibration,
        search,
        evaluation,
        evidence,
        truth,
        searched_on,
        calibrated,
        blocks,
        effects,
    )
    add_candidates(tuned, [*proposed, *near], recipes, cache, goal, reporter)
    if not tuned.candidates:
        raise PromiseMissed(f"{artifact.name}: no variant of it could be built and measured")
    return tuned


def add_candidates(
    tuned: TunedModel,
    assignments: Iterable[Assignment],
    recipes: Iterable[Recipe],
    cache: Path,
    goal: SearchGoal,
    reporter: Reporter,
) -> None:
    """Build mixtures and recipes, compare and time them; what cannot be chosen is told.

    The reporter is told how many steps that is: as many as it was promised, or fewer.
    """
    chosen = [*recipes]
    for assignment in assignments:
        mixtures = tuple(_recipes_of(tuned, assignment, native=goal.native))
        tuned.mixtures.update({recipe.name: assignment for recipe in mixtures})
        chosen.extend(mixtures)
    reporter.expect(_steps_of(len(chosen)))
    built: dict[str, Path] = {}
    for recipe in chosen:
        reporter.reach()
        path = _built(tuned, recipe, built.get(recipe.portable), cache, reporter)
        if path is not None:
            built[recipe.name] = path
    tuned.built.update(built)
    reporter.expect(_steps_of(len(built)) - len(built))
    reporter.reach()
    profiles = _profiles(tuned, built, cache, goal, reporter)
    # Ratios are of one run each; the reference's own time is the first run's for all.
    tuned.profiles.update({name: each for name, each in profiles.items() if name in built})
    tuned.profiles.setdefault(REFERENCE, profiles[REFERENCE])
    reference = measured_on(tuned.profiles[REFERENCE], goal.target.name)
    for name, path in built.items():
        reporter.reach()
        accuracy = accuracy_of(tuned, name, tuned.searched_on, lambda: tuned.truth, cache, reporter)
        timed = measured_on(profiles[name], goal.target.name)
        ratio = None if timed is None else timed.ratio_to_reference
        if accuracy.nonfinite or ratio is None or reference is None:
            why = _why(accuracy, profiles[name].get(goal.target.name))
            reporter.warn(f"{tuned.artifact.name}: {name}: no candidate: {why}")
            continue
        candidate = Candidate(
            model=tuned.artifact.name,
            recipe=name,
            bytes=open_artifact(path).bytes,
            time_ratio=ratio,
            reference_s=reference.median_s,
            uniform=name not in tuned.mixtures,
            **figures_of(tuned.artifact.spec, accuracy, goal),
        )
        tuned.candidates.append(candidate)


def _steps_of(candidates: int) -> int:
    """To build each, to time them together, to compare each."""
    return 2 * candidates + 1


def _grain(artifact: Artifact) -> Grain:
    if artifact.bytes >= LARGE_BYTES:
        return "kind"
    return "node" if artifact.bytes < _FINE_BYTES else "stage"


@contextmanager
def _fused(artifact: Artifact, cache: Path) -> Iterator[Path]:
    """The fused float32 model that lends its weights to the trials; removed afterwards."""
    path = cache / "fused" / f"{artifact.name}.onnx"
    model = load_model(artifact.path)
    fuse(model, Form.MIXTURE.rules)
    save_model(model, path)
    del model
    try:
        yield path
    finally:
        for file in (path, path.with_name(f"{path.name}.data")):
            file.unlink(missing_ok=True)


def _recipes_of(tuned: TunedModel, assignment: Assignment, *, native: bool) -> Iterator[Recipe]:
    """Those of a mixture: the portable one first, which a native one lies beside."""
    for each in (False, True)[: 1 + native]:
        yield mixed.recipe_of(tuned.blocks, assignment, tuned.calibrated, native=each)


def _built(
    tuned: TunedModel, recipe: Recipe, portable: Path | None, cache: Path, reporter: Reporter
) -> Path | None:
    """The file of a candidate, of a native one beside its `portable`; None where there is none."""
    artifact = tuned.artifact
    path = cache / "candidates" / recipe.name / f"{artifact.name}.onnx"
    if recipe.is_native:
        if portable is None:
            return None
        path = native_beside(portable)
    try:
        with reporter.task(f"{artifact.name}: {recipe.name}") as update:
            made = build_variant(
                artifact,
                recipe,
                path,
                calibration=tuned.calibration,
                portable=portable if recipe.is_native else None,
                progress=update,
            )
    except NotApplicable:
        return None
    except (InputError, PromiseMissed) as error:
        reporter.warn(f"{artifact.name}: {recipe.name} failed: {error}")
        return None
    # Where the library has nothing to do, the portable one is the candidate.
    return None if recipe.is_native and not made.record.custom_operators else path


def accuracy_of(
    tuned: TunedModel,
    recipe: str,
    judged_on: str,
    truth: Callable[[], Truth],
    cache: Path,
    reporter: Reporter,
) -> AccuracyReport:
    """The comparison of a built candidate, remembered by the hash `judged_on` of its feeds."""
    variant = open_artifact(tuned.built[recipe])
    key = key_of(tuned.artifact.sha256, variant.sha256, judged_on, WAY_OF_JUDGING)
    name = tuned.artifact.name

    def measure() -> AccuracyReport:
        reference = truth()
        with reporter.task(f"{name}: verifying {recipe}") as update:
            return compare(reference, variant, update)

    kept = cache / "accuracy" / name / f"{key[:16]}.json"
    return remembered_record(AccuracyReport, kept, key, measure)


def _profiles(
    tuned: TunedModel, built: Mapping[str, Path], cache: Path, goal: SearchGoal, reporter: Reporter
) -> Profiles:
    """The source and some candidates, timed in turns."""
    artifact, target, rounds = tuned.artifact, goal.target, goal.rounds
    hashes = [open_artifact(path).sha256 for path in built.values()]
    # A source may have its family from the user alone.
    about = (artifact.spec.family, target, rounds)
    key = key_of(artifact.sha256, *hashes, tuned.evaluation.sha256, *about, *_versions())
    feed = cache / "feeds" / f"{artifact.name}.npz"

    def measure() -> Profiles:
        save_feed(profile_feed(artifact, tuned.evaluation.feeds[0]), feed)
        return profile_variants(
            {REFERENCE: artifact.path, **built},
            feed,
            (target,),
            plan=Plan(rounds=rounds, budget_s=90.0, cold=False),
            family=artifact.spec.family,
            step=lambda _: reporter.task(f"{artifact.name}: timing {len(built)} candidates"),
        )

    path = cache / "profiles" / artifact.name / f"{key[:16]}.json"
    return remembered_record(Profiles, path, key, measure)


def _why(accuracy: AccuracyReport, profile: Profile | None) -> str:
    if accuracy.nonfinite:
        return f"{accuracy.nonfinite} outputs are NaN or infinite"
    reason = profile.reason if isinstance(profile, Failure) else "no measurement"
    return f"not timed: {reason}"


def _versions() -> tuple[str, ...]:
    return tuple(importlib.metadata.version(p) for p in ("vampnet-workbench", "onnxruntime"))


def blocks_of(tuned: TunedModel, recipe: str) -> tuple[Block, ...]:
    """What each block could have had, what it got and why.

    In a uniform recipe every block got that recipe, which has its own rules for what it leaves.
    """
    mixture = tuned.mixtures.get(recipe)
    blocks = []
    for name, effects in tuned.effects.items():
        chosen = recipe if mixture is None else mixture.get(name, mixed.FLOAT)
        why = WHOLE_MODEL if mixture is None else why_no_smaller(effects, chosen)
        options = tuple(effect.option for effect in effects)
        blocks.append(Block(name, chosen, options, why, len(tuned.blocks[name])))
    return tuple(blocks)
