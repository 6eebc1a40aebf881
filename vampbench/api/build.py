"""One recipe on one model or a folder of them, calibrated through the chain that they stand in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from calibration.audio.clips import BOTH_SIDES, AudioSet, Side
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.feedset import FeedSet
from calibration.feeds.foresight import longest_feed
from calibration.feeds.model_feeds import CALIBRATION, EVALUATION, side_feeds, sizes_of
from calibration.feeds.source import Source
from calibration.ranges.collect import Terms
from calibration.ranges.kept_ranges import Store
from optimize import variant
from optimize.build import build_variant, check_memory
from optimize.origin import check_origin
from optimize.precision.contract import Needs
from optimize.recipes import Recipe, find_recipe
from vampbench.api.bounds import check_within, typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.models import AnyModel, Models, as_artifact, paths_of
from vampbench.api.progress import Heard, Listener
from vampbench.api.variant import Variant
from vampbench.work.outside import tell_outside
from vampbench.work.runtime import warn_not_probed
from vampbench.work.workspace import Workspace
from vampnet_models.chain.members import with_neighbours, with_upstream
from vampnet_models.errors import InputError, NotApplicable, WorkbenchError, contained
from vampnet_models.native.library import build_library
from vampnet_models.onnxfile.artifact import (
    Artifact,
    check_folder,
    check_output,
    find_models,
    load_model,
    open_artifact,
)
from vampnet_models.onnxfile.outputs import check_apart, model_output
from vampnet_models.onnxfile.portable import NATIVE_SUFFIX, native_beside
from vampnet_models.progress import Reporter
from vampnet_models.scratch import scratch_folder


@dataclass(frozen=True)
class Means:
    """What a build is given beside its model and recipe.

    Attributes:
        source: what calibrates a recipe that needs it; the built-in recordings by default. Of what
            it names for judging alone, the values outside the ranges are told.
        upstream: models that take the place of their stage in the chain; none by default.
        ranges: an .npz that keeps the calibrated ranges; None, the default, is NAME.calibration.npz
            beside the output.
        max_memory_bytes: a calibration that is predicted to take more is refused; no bound by
            default.
        native: whether the same is made with the optional library's operators too, which is built
            where it is missing; not by default.
    """

    source: Source = field(default_factory=Source)
    upstream: tuple[Path, ...] = ()
    ranges: Path | None = None
    max_memory_bytes: int | None = None
    native: bool = False


@typed
def build(
    model: AnyModel,
    recipe: str | Recipe,
    *,
    calibration: AnyData = None,
    output: str | Path | None = None,
    upstream: Models = (),
    ranges: str | Path | None = None,
    max_memory_bytes: int | None = None,
    native: bool = False,
    progress: Listener = None,
) -> Variant:
    """Make a variant of a model by a recipe: `fused`, `fp16`, `int8-static`, ...

    A recipe with settings of its own comes from `optimize.recipe_settings`: `static_recipe`,
    `dynamic_recipe`, `weights_recipe`, `fp16_recipe`. One that needs it is calibrated on
    `calibration`: what `split_audio` gives, a folder of recordings, or feeds of the model: arrays
    by input, an iterable of such, an .npz file. None takes the built-in recordings. The models
    beside this one are the chain that feeds it; those of `upstream` take their stage's place.

    `output` is a file that ends in .onnx, or a folder; by default it is
    `variants/RECIPE/NAME.onnx` below the current folder, as `run` lays it out. What is there
    already, made of the same by the same, is used again. `ranges`, `max_memory_bytes` and `native`
    are as `Means` says.

    Raises NotApplicable where the recipe has nothing to do; InputError where an argument, the model
    or the data cannot be used; PromiseMissed where the result is not what the recipe promises.
    """
    check_within("max_memory_bytes", max_memory_bytes, 1, whole=True)
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    source = as_source(calibration)
    artifact = as_artifact(model, source.sample_rate_hz)
    place = Workspace(Path()).variant(chosen.name, artifact.name) if output is None else output
    target = model_output(Path(place), artifact.path)
    means = Means(
        source,
        paths_of(upstream),
        None if ranges is None else Path(ranges),
        max_memory_bytes,
        native,
    )
    _check(target, artifact.path, means)
    heard = Heard(progress)
    tell_unused(source, chosen, heard)
    with contained(NotApplicable):
        means = _fed(means, chosen, [artifact], heard)
        early = tuple(heard.warnings)
        first, *rest = _variants(artifact, chosen, target, means, progress)
    warnings = (*early, *first.warnings)
    return replace(first, native=rest[0] if rest else None, warnings=warnings)


def tell_unused(source: Source, recipe: Recipe, reporter: Reporter) -> None:
    """Warn of what was given to calibrate on where nothing is calibrated."""
    for name in () if recipe.needs_calibration else source.names:
        reporter.warn(f"{name}: not used: {recipe.name} calibrates nothing")


def build_all(
    model: Path,
    out: Path,
    recipe: Recipe,
    means: Means,
    reporter: Reporter,
    on_made: Callable[[Variant], None],
) -> tuple[list[Variant], int]:
    """Apply one recipe to a file, or to each of a folder: the variants, and the exit code.

    `on_made` hears of each at once. A folder's other models go on after a failure. Raises
    InputError where nothing can be done, and what the one model that is no folder's fails with.
    """
    is_folder = model.is_dir()
    paths = find_models(model) if is_folder else [model]
    if not is_folder:
        out = model_output(out, model)
    _check(out, model, means)
    if is_folder and (out.is_file() or out.suffix == ".onnx"):
        raise InputError(f"{out}: {model} is a folder: give a folder as output too")
    if is_folder and means.ranges is not None:
        raise InputError(f"{model}: is a folder; a calibration kept in a file is of one model")
    if is_folder:
        check_folder(out)
    artifacts = _open(paths, means.source.sample_rate_hz, reporter)
    means = _fed(means, recipe, artifacts, reporter)
    code = 0 if len(artifacts) == len(paths) else 2
    made: list[Variant] = []
    for artifact in artifacts:
        target = out / artifact.path.name if is_folder else out
        before = len(made)
        try:
            with contained(NotApplicable):
                for variant in _variants(artifact, recipe, target, means, reporter):
                    made.append(variant)
                    on_made(variant)
        except (WorkbenchError, NotApplicable) as error:
            if not is_folder and len(made) == before and isinstance(error, WorkbenchError):
                raise
            reporter.error(f"{artifact.path.name}: {error}")
            code = max(code, getattr(error, "exit_code", 1))
    return made, code


def _fed(means: Means, recipe: Recipe, artifacts: Sequence[Artifact], reporter: Reporter) -> Means:
    """The same with what calibrates these models, read once for all where it is recordings."""
    if not recipe.needs_calibration or not artifacts:
        return means
    source = means.source.of(artifacts, reporter)
    return replace(means, source=source.opened(artifacts, reporter))


def _check(out: Path, model: Path, means: Means) -> None:
    """Raise InputError for places that cannot be written to, before any work is done for them."""
    check_apart(out, model, *means.source.folders)
    if means.native and out.name.endswith(NATIVE_SUFFIX):
        raise InputError(
            f"{out}: -o names the portable model, and NAME{NATIVE_SUFFIX} is written beside it; "
            f"give {out.name.removesuffix(NATIVE_SUFFIX)}.onnx or another name"
        )
    if means.ranges is not None and not means.ranges.exists():
        check_output(means.ranges)


def _variants(
    artifact: Artifact, recipe: Recipe, target: Path, means: Means, listener: Listener
) -> Iterator[Variant]:
    """The variant, and the native one where it was asked for."""
    heard = Heard(listener)
    native = find_recipe(f"{recipe.name}-native") if means.native else None
    check_origin(load_model(artifact.path), artifact, as_exported=recipe.as_exported)
    terms = _terms(recipe, target, means, heard)
    calibration, evaluation = _calibration(recipe, artifact, means, terms, target, heard)
    with heard.task(f"{artifact.name}: {recipe.name}") as update:
        made = build_variant(
            artifact, recipe, target, calibration=calibration, terms=terms, progress=update
        )
    if calibration is not None and evaluation is not None:
        tell_outside(artifact, recipe, target, calibration, evaluation, terms, heard)
    yield _told(made, artifact, heard)
    if native is None:
        return
    heard = Heard(listener)
    build_library()
    with heard.task(f"{artifact.name}: {native.name}") as update:
        made = build_variant(
            artifact,
            native,
            native_beside(target),
            calibration=calibration,
            terms=terms,
            portable=target,
            progress=update,
        )
    yield _told(made, artifact, heard)


def _told(made: variant.Variant, source: Artifact, heard: Heard) -> Variant:
    """The variant with all that was warned of on the way."""
    for warning in made.record.warnings:
        heard.warn(warning)
    warn_not_probed(made.path, made.record, heard)
    return Variant(made.path, made.record, made.reused, source, tuple(heard.warnings))


def _terms(recipe: Recipe, target: Path, means: Means, reporter: Reporter) -> Terms | None:
    """How ranges are calibrated, where the recipe asks for any."""
    if Needs.RANGES not in recipe.precision.needs:
        return None
    kept = means.ranges or target.with_name(f"{target.stem}.calibration.npz")
    given = means.ranges is not None
    return Terms(
        max_memory_bytes=means.max_memory_bytes,
        # A recipe that is always made anew hands its ranges on, and keeps them where it is told to.
        store=Store(kept, given) if given or recipe.reusable else None,
        on_prediction=lambda predicted: reporter.note(
            f"{target.name}: calibration takes about {predicted.describe()}"
        ),
    )


def _open(paths: list[Path], sample_rate_hz: int | None, reporter: Reporter) -> list[Artifact]:
    """The models that can be read; why the others of a folder cannot is told."""
    artifacts = []
    for path in paths:
        try:
            with contained():
                artifacts.append(as_artifact(path, sample_rate_hz))
        except WorkbenchError as error:
            if len(paths) == 1:
                raise
            reporter.error(str(error))
    return artifacts


def _calibration(
    recipe: Recipe,
    artifact: Artifact,
    means: Means,
    terms: Terms | None,
    target: Path,
    reporter: Reporter,
) -> tuple[FeedSet | None, FeedSet | None]:
    """Feeds through the chain of the models that lie beside this one, if the recipe needs any.

    The second ones are those of what judges alone, if it was given. All of a user's own feeds
    calibrate otherwise.
    """
    if not recipe.needs_calibration:
        return None, None
    source = means.source
    heard = source.is_heard_by(artifact)
    if means.upstream and source.feeds is not None and not heard:
        raise InputError(f"{means.upstream[0]}: not used beside feeds; leave out what is upstream")
    beside = with_upstream(with_neighbours(artifact, reporter), artifact, means.upstream)
    sides: Sequence[Side] = BOTH_SIDES if source.judges_apart(artifact) else ["calibration"]
    with scratch_folder() as scratch:
        if heard and terms is not None:
            rate_hz = artifact.spec.lengths_of.sample_rate_hz
            audio = source.load_audio(reporter, sides).at_rate(rate_hz)
            _check_memory(recipe, artifact, audio, terms, target)
        inputs = prepare_inputs(beside, source, scratch, 0, reporter, [artifact], sides)
        found = side_feeds(artifact, inputs, CALIBRATION, 0, reporter)
        if means.upstream:
            named = (open_artifact(path) for path in means.upstream)
            chain = ", ".join(f"{a.role.value} {a.path.name} {a.sha256[:16]}" for a in named)
            found = replace(found, upstream=chain)
        for warning in found.warnings:
            reporter.warn(warning)
        if not source.judges_apart(artifact):
            return found, None
        return found, side_feeds(artifact, inputs, EVALUATION, 0, reporter)


def _check_memory(
    recipe: Recipe, artifact: Artifact, audio: AudioSet, terms: Terms, target: Path
) -> None:
    """Refuse what would not fit before any feed is made; kept ranges may need no memory at all."""
    kept = terms.store is not None and terms.store.path.exists()
    if terms.max_memory_bytes is None or kept:
        return
    sizes = sizes_of(artifact, CALIBRATION)
    longest = longest_feed(artifact.spec, audio.calibration, sizes)
    if longest is not None:
        check_memory(artifact, recipe, target, longest, terms.max_memory_bytes)
