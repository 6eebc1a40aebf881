"""One recipe on one model or a folder of them, calibrated through the chain that they stand in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_feeds import FeedSet
from calibration.feeds.chain_inputs import (
    CALIBRATION,
    EVALUATION,
    check_feeds,
    given_feeds,
    prepare_inputs,
    side_feeds,
    sizes_of,
)
from calibration.feeds.foresight import longest_feed
from calibration.ranges.collect import Terms
from optimize.build import build_variant, check_memory
from optimize.origin import check_origin
from optimize.recipes import Recipe, find_recipe
from optimize.variant import Variant
from vampbench.work.outside import tell_outside
from vampnet_models.chain.members import with_neighbours, with_upstream
from vampnet_models.errors import InputError, NotApplicable, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import (
    Artifact,
    check_folder,
    find_models,
    load_model,
    open_artifact,
)
from vampnet_models.onnxfile.native import build_library
from vampnet_models.onnxfile.outputs import check_apart, model_output
from vampnet_models.progress import Reporter
from vampnet_models.scratch import scratch_folder

_NATIVE_SUFFIX = ".native.onnx"


@dataclass(frozen=True)
class Calibrating:
    """What a recipe that needs it is calibrated on.

    Attributes:
        audio: the folder of recordings; None, the default, takes the built-in ones.
        evaluation_audio: a folder whose values outside the ranges are told; none by default.
        feeds: an .npz of inputs for a model of no known role; none by default.
        upstream: models that take the place of their stage in the chain; none by default.
        terms: memory and where ranges are kept, by the output file; none by default.
    """

    audio: Path | None = None
    evaluation_audio: Path | None = None
    feeds: Path | None = None
    upstream: tuple[Path, ...] = ()
    terms: Callable[[Path], Terms] | None = None


def convert_models(
    model: Path,
    out: Path,
    recipe: Recipe,
    how: Calibrating,
    reporter: Reporter,
    *,
    native: bool = False,
    on_made: Callable[[Artifact, Variant], None],
) -> tuple[list[Variant], int]:
    """Apply one recipe: the variants, and the exit code; `on_made` hears of each at once.

    A folder's other models go on after a failure. Raises InputError where nothing can be done, and
    what the one model that is no folder's fails with.
    """
    check_feeds(how.feeds)
    is_folder = model.is_dir()
    paths = find_models(model) if is_folder else [model]
    if not is_folder:
        out = model_output(out, model)
    check_apart(out, model, how.audio, how.evaluation_audio)
    if is_folder and (out.is_file() or out.suffix == ".onnx"):
        raise InputError(f"{out}: {model} is a folder: give a folder as output too")
    if is_folder:
        check_folder(out)
    if native and out.name.endswith(_NATIVE_SUFFIX):
        raise InputError(
            f"{out}: -o names the portable model, and NAME{_NATIVE_SUFFIX} is written beside it; "
            f"give {out.name.removesuffix(_NATIVE_SUFFIX)}.onnx or another name"
        )
    artifacts = _open(paths, reporter)
    code = 0 if len(artifacts) == len(paths) else 2
    made: list[Variant] = []

    def failed(artifact: Artifact, error: Exception) -> int:
        reporter.error(f"{artifact.path.name}: {error}")
        return max(code, getattr(error, "exit_code", 1))

    for artifact in artifacts:
        target = out / artifact.path.name if is_folder else out
        try:
            with contained(NotApplicable):
                check_origin(load_model(artifact.path), artifact, as_exported=recipe.as_exported)
                terms = None if how.terms is None else how.terms(target)
                calibration, evaluation = _calibration(
                    recipe, artifact, how, terms, target, reporter
                )
                with reporter.task(f"{artifact.name}: {recipe.name}") as update:
                    variant = build_variant(
                        artifact,
                        recipe,
                        target,
                        calibration=calibration,
                        terms=terms,
                        progress=update,
                    )
                if calibration is not None and evaluation is not None:
                    tell_outside(artifact, recipe, target, calibration, evaluation, terms, reporter)
        except (WorkbenchError, NotApplicable) as error:
            if not is_folder and isinstance(error, WorkbenchError):
                raise
            code = failed(artifact, error)
            continue
        made.append(variant)
        on_made(artifact, variant)
        if native:
            try:
                with contained(NotApplicable):
                    made.append(
                        _native_variant(artifact, recipe, target, calibration, terms, reporter)
                    )
            except (WorkbenchError, NotApplicable) as error:
                code = failed(artifact, error)
                continue
            on_made(artifact, made[-1])
    return made, code


def _native_variant(
    artifact: Artifact,
    recipe: Recipe,
    portable: Path,
    calibration: FeedSet | None,
    terms: Terms | None,
    reporter: Reporter,
) -> Variant:
    """The same with the optional library's operators, which is built where it is missing."""
    build_library()
    name = f"{recipe.name}-native"
    out = portable.with_name(f"{portable.stem}{_NATIVE_SUFFIX}")
    with reporter.task(f"{artifact.name}: {name}") as update:
        return build_variant(
            artifact,
            find_recipe(name),
            out,
            calibration=calibration,
            terms=terms,
            portable=portable,
            progress=update,
        )


def _open(paths: list[Path], reporter: Reporter) -> list[Artifact]:
    """The models that can be read; why the others of a folder cannot is told."""
    artifacts = []
    for path in paths:
        try:
            with contained():
                artifacts.append(open_artifact(path))
        except WorkbenchError as error:
            if len(paths) == 1:
                raise
            reporter.error(str(error))
    return artifacts


def _calibration(
    recipe: Recipe,
    artifact: Artifact,
    how: Calibrating,
    terms: Terms | None,
    target: Path,
    reporter: Reporter,
) -> tuple[FeedSet | None, FeedSet | None]:
    """Feeds through the chain of the models that lie beside this one, if the recipe needs any.

    The second ones are those of evaluation audio, if it was given. All of a user's own feeds
    calibrate otherwise.
    """
    if not recipe.needs_calibration:
        return None, None
    given = None if how.evaluation_audio is not None else given_feeds(artifact, how.feeds)
    if given is not None and how.audio is None and not how.upstream:
        return given, None
    beside = with_upstream(with_neighbours(artifact, reporter), artifact, how.upstream)
    with scratch_folder() as scratch:
        audio = load_audio(how.audio, reporter, how.evaluation_audio)
        if terms is not None:
            _check_memory(recipe, artifact, audio, terms, target)
        inputs = prepare_inputs(beside, audio, scratch, 0, reporter)
        found = given or side_feeds(artifact, inputs, CALIBRATION, how.feeds, 0, reporter)
        if how.upstream:
            named = (open_artifact(path) for path in how.upstream)
            chain = ", ".join(f"{a.role.value} {a.path.name} {a.sha256[:16]}" for a in named)
            found = replace(found, upstream=chain)
        for warning in found.warnings:
            reporter.warn(warning)
        if how.evaluation_audio is None:
            return found, None
        return found, side_feeds(artifact, inputs, EVALUATION, how.feeds, 0, reporter)


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
