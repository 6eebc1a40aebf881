"""`vampbench fuse | npu`, and what every conversion does with one model or a folder of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from calibration.audio.clips import AudioSet
from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_feeds import FeedSet
from calibration.feeds.chain_inputs import (
    CALIBRATION,
    EVALUATION,
    check_feeds,
    given_feeds,
    lay_ground,
    side_feeds,
    sizes_of,
)
from calibration.feeds.foresight import longest_feed
from calibration.ranges.collect import Terms
from optimize.backends.fusion import fused_recipe
from optimize.build import build_variant, check_memory
from optimize.origin import check_origin
from optimize.recipes import Recipe, find_recipe
from optimize.variant import Variant
from vampbench.cli import options
from vampbench.cli.console import Voice
from vampbench.cli.runtime import float_lines, mixed_lines, not_checked
from vampbench.work.outside import tell_outside
from vampbench.work.runtime import warn_not_probed
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
from vampnet_models.scratch import scratch_folder
from vampnet_models.text import megabytes


@dataclass(frozen=True)
class Calibrating:
    """What a recipe that needs it is calibrated on, and on which terms per output file."""

    audio: Path | None = None
    evaluation_audio: Path | None = None
    feeds: Path | None = None
    upstream: tuple[Path, ...] = ()
    terms: Callable[[Path], Terms] | None = None


def model_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL, -o and --json, as every conversion takes them."""
    return click.argument("model", type=options.PATH)(options.output(options.as_json(command)))


_NATIVE_SUFFIX = ".native.onnx"

native_option = click.option(
    "--native",
    is_flag=True,
    help="Beside OUT also NAME.native.onnx, with operators that `vampbench native` builds.",
)


@click.command()
@click.option("--explain", is_flag=True, help="Name each candidate that did not match, and why.")
@click.option(
    "--backend",
    type=click.Choice(["workbench", "onnxruntime"]),
    default="workbench",
    show_default=True,
    help="Whose rules: ours, or those of onnxruntime.transformers.",
)
@native_option
@model_command
def fuse(model: Path, out: Path, explain: bool, backend: str, native: bool, as_json: bool) -> int:
    """Fuse the graph in FP32: same tokens, fewer and faster operators.

    MODEL is an .onnx file or a folder of them; OUT is a file or a folder likewise. What the names
    of the fusions mean stands in docs/reference/fusions.md.

    \b
    Examples:
      vampbench fuse coarse.onnx -o coarse.fused.onnx --explain
      vampbench fuse codec_decoder.onnx --native -o decoder.fused.onnx
    """
    if native and backend != "workbench":
        raise InputError(f"--native: not of --backend {backend}; choose one of them")
    recipe = find_recipe("fused") if backend == "workbench" else fused_recipe(backend)
    voice = Voice(as_json=as_json)
    return convert(model, out, recipe, voice, explain=explain, native=native)


@click.command()
@click.option(
    "--precision",
    type=click.Choice(["fp16", "a8w8", "a16w8"]),
    default="a16w8",
    show_default=True,
    help="Bits of activations and weights in products; everything else runs in FP16.",
)
@options.audio
@options.feeds
@model_command
def npu(
    model: Path, out: Path, precision: str, audio: Path | None, feeds: Path | None, as_json: bool
) -> int:
    """Make a variant for Qualcomm's NPU, in operators that its compiler takes.

    MODEL is an .onnx file or a folder of them, as they were exported: fused or quantized ones are
    refused. OUT is a file or a folder likewise.

    a8w8 and a16w8 calibrate the activations on sample audio, as `int8 --mode static` does.
    `vampbench qnn` compiles the result and compares its tokens; `make-static` fixes its length.

    \b
    Example:
      vampbench npu models --precision a16w8 -o models-npu
    """
    voice = Voice(as_json=as_json)
    return convert(model, out, find_recipe(f"npu-{precision}"), voice, audio=audio, feeds=feeds)


def convert(
    model: Path,
    out: Path,
    recipe: Recipe,
    voice: Voice,
    *,
    audio: Path | None = None,
    feeds: Path | None = None,
    calibrating: Calibrating | None = None,
    explain: bool = False,
    native: bool = False,
    afterwards: Callable[[], dict[str, Any]] | None = None,
) -> int:
    """Apply one recipe; the exit code. A folder's other models go on after a failure.

    What `afterwards` finds, once all is made, joins the JSON.
    """
    how = calibrating or Calibrating(audio, feeds=feeds)
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
    artifacts = _open(paths, voice)
    code = 0 if len(artifacts) == len(paths) else 2
    made: list[Variant] = []

    def failed(artifact: Artifact, error: Exception) -> int:
        voice.error(f"{artifact.path.name}: {error}")
        return max(code, getattr(error, "exit_code", 1))

    for artifact in artifacts:
        target = out / artifact.path.name if is_folder else out
        try:
            with contained(NotApplicable):
                check_origin(load_model(artifact.path), artifact, as_exported=recipe.as_exported)
                terms = None if how.terms is None else how.terms(target)
                calibration, evaluation = _calibration(recipe, artifact, how, terms, target, voice)
                with voice.task(f"{artifact.name}: {recipe.name}") as update:
                    variant = build_variant(
                        artifact,
                        recipe,
                        target,
                        calibration=calibration,
                        terms=terms,
                        progress=update,
                    )
                if calibration is not None and evaluation is not None:
                    tell_outside(artifact, recipe, target, calibration, evaluation, terms, voice)
        except (WorkbenchError, NotApplicable) as error:
            if not is_folder and isinstance(error, WorkbenchError):
                raise
            code = failed(artifact, error)
            continue
        made.append(variant)
        _tell(artifact, variant, explain, voice)
        if native:
            try:
                with contained(NotApplicable):
                    made.append(
                        _native_variant(artifact, recipe, target, calibration, terms, voice)
                    )
            except (WorkbenchError, NotApplicable) as error:
                code = failed(artifact, error)
                continue
            _tell(artifact, made[-1], explain, voice)
    more = afterwards() if afterwards is not None and code == 0 else {}
    records = [asdict(v.record) | {"path": str(v.path)} for v in made]
    voice.json({"variants": records} | more)
    return code


def _native_variant(
    artifact: Artifact,
    recipe: Recipe,
    portable: Path,
    calibration: FeedSet | None,
    terms: Terms | None,
    voice: Voice,
) -> Variant:
    """The same with the optional library's operators, which is built where it is missing."""
    build_library()
    name = f"{recipe.name}-native"
    out = portable.with_name(f"{portable.stem}{_NATIVE_SUFFIX}")
    with voice.task(f"{artifact.name}: {name}") as update:
        return build_variant(
            artifact,
            find_recipe(name),
            out,
            calibration=calibration,
            terms=terms,
            portable=portable,
            progress=update,
        )


def _open(paths: list[Path], voice: Voice) -> list[Artifact]:
    """The models that can be read; why the others of a folder cannot is told."""
    artifacts = []
    for path in paths:
        try:
            with contained():
                artifacts.append(open_artifact(path))
        except WorkbenchError as error:
            if len(paths) == 1:
                raise
            voice.error(str(error))
    return artifacts


def _calibration(
    recipe: Recipe,
    artifact: Artifact,
    how: Calibrating,
    terms: Terms | None,
    target: Path,
    voice: Voice,
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
    beside = with_upstream(with_neighbours(artifact, voice), artifact, how.upstream)
    with scratch_folder() as scratch:
        audio = load_audio(how.audio, voice, how.evaluation_audio)
        if terms is not None:
            _check_memory(recipe, artifact, audio, terms, target)
        ground = lay_ground(beside, audio, scratch, 0, voice)
        found = given or side_feeds(artifact, ground, CALIBRATION, how.feeds, 0, voice)
        if how.upstream:
            named = (open_artifact(path) for path in how.upstream)
            chain = ", ".join(f"{a.role.value} {a.path.name} {a.sha256[:16]}" for a in named)
            found = replace(found, upstream=chain)
        for warning in found.warnings:
            voice.warn(warning)
        if how.evaluation_audio is None:
            return found, None
        return found, side_feeds(artifact, ground, EVALUATION, how.feeds, 0, voice)


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


def _tell(artifact: Artifact, variant: Variant, explain: bool, voice: Voice) -> None:
    record = asdict(variant.record)
    voice.say(
        f"{variant.path}  {megabytes(record['bytes'])} "
        f"({record['bytes'] / artifact.bytes:.0%} of {megabytes(artifact.bytes)})"
    )
    if record["fusions"]:
        fused = ", ".join(f"{n} {rule}" for rule, n in record["fusions"].items() if n)
        voice.say(f"  fused: {fused or 'nothing'}")
    if record["custom_operators"]:
        names = ", ".join(record["custom_operators"])
        instead = record["portable"]
        voice.say(f"  needs the operator library for {names}; without it {instead} is opened")
    if record["precision"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in record["precision"].items())
        voice.say(f"  weights: {kinds}")
    for warning in record["warnings"]:
        voice.warn(warning)
    for line in mixed_lines(variant.record.mixed_nodes):
        voice.say(f"  apart: {line}")
    for line in float_lines(variant.record.float_nodes):
        voice.say(f"  float: {line}")
    for node in record["float_nodes"] if explain else []:
        voice.say(f"  left in float: {node['op_type']} {node['node']}: {node['reason']}")
    warn_not_probed(variant.path, variant.record, voice)
    if variant.record.runtime is None:
        voice.say(f"  runtime: {not_checked(variant.path)}")
    for missed in record["unmatched"] if explain else []:
        voice.say(f"  not fused: {missed['rule']} at {missed['node']}: {missed['reason']}")
