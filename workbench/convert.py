"""`vampbench fuse | int8 | weights`: one recipe, one model or a folder of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from calibration.feeds import FeedSet
from optimize.build import build_variant
from optimize.recipes import Recipe, find_recipe, weights_recipe
from optimize.variant import NotApplicable, Variant
from vampnet_models.artifact import Artifact, find_models, open_artifact
from vampnet_models.errors import InputError, WorkbenchError
from vampnet_models.native import build_library
from workbench import options
from workbench.console import Voice, megabytes
from workbench.ground import (
    CALIBRATION,
    check_feeds,
    lay_ground,
    load_audio,
    side_feeds,
    with_neighbours,
)
from workbench.runtime import NOT_CHECKED, float_lines


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("model", type=options.PATH)(options.output(options.as_json(command)))


_native = click.option(
    "--native",
    is_flag=True,
    help="Beside OUT also NAME.native.onnx, with operators that `vampbench native` builds.",
)


@click.command()
@click.option("--explain", is_flag=True, help="Name each candidate that did not match, and why.")
@_native
@_shared
def fuse(model: Path, out: Path, explain: bool, native: bool, as_json: bool) -> int:
    """Fuse the graph in FP32: same tokens, fewer and faster operators.

    MODEL is an .onnx file or a folder of them; OUT is a file or a folder likewise.

    \b
    Example:
      vampbench fuse coarse.onnx -o coarse.fused.onnx --explain
    """
    voice = Voice(as_json=as_json)
    return convert(model, out, find_recipe("fused"), voice, explain=explain, native=native)


@click.command()
@click.option(
    "--mode", type=click.Choice(["static", "dynamic"]), default="static", show_default=True
)
@options.audio
@options.feeds
@_native
@_shared
def int8(
    model: Path,
    out: Path,
    mode: str,
    audio: Path | None,
    feeds: Path | None,
    native: bool,
    as_json: bool,
) -> int:
    """Quantize weights and activations to INT8.

    `static` calibrates the activations on sample audio, through the chain that the model stands
    in: put the other models beside it. `dynamic` needs no audio.

    \b
    Example:
      vampbench int8 models --mode static --audio recordings -o models-int8
    """
    voice = Voice(as_json=as_json)
    if native and mode == "dynamic":
        raise InputError("--native: only of static INT8; dynamic has no Snakes in integers")
    recipe = find_recipe(f"int8-{mode}")
    return convert(model, out, recipe, voice, audio=audio, feeds=feeds, native=native)


@click.command()
@click.option("--bits", type=click.Choice(["8", "4"]), default="8", show_default=True)
@click.option(
    "--block",
    type=click.Choice(["32", "64", "128", "channel"]),
    default="32",
    show_default=True,
    help="Weights of a MatMul that share a scale.",
)
@click.option(
    "--method",
    type=click.Choice(["symmetric", "asymmetric", "fitted", "gptq"]),
    default="symmetric",
    show_default=True,
    help="Without or with zero points; `fitted`: with the range of least error; `gptq`: rounded so "
    "that errors cancel out on sample audio (slower, and by far the best at 4 bits).",
)
@click.option(
    "--compute",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="int8 quantizes the inputs of MatMuls as well, block by block: faster, less exact.",
)
@options.audio
@options.feeds
@_shared
def weights(
    model: Path,
    out: Path,
    bits: str,
    block: str,
    method: str,
    compute: str,
    audio: Path | None,
    feeds: Path | None,
    as_json: bool,
) -> int:
    """Quantize the weights alone to INT8 or INT4; activations stay in float.

    `gptq` runs the model on sample audio, through the chain that it stands in: put the other
    models beside it. The other methods read the weights alone.

    \b
    Examples:
      vampbench weights coarse.onnx -o coarse.int8w.onnx
      vampbench weights coarse.onnx --bits 4 --block 64 --method gptq -o coarse.int4.onnx
    """
    recipe = weights_recipe(bits, block, method, compute)
    voice = Voice(as_json=as_json)
    return convert(model, out, recipe, voice, audio=audio, feeds=feeds)


def convert(
    model: Path,
    out: Path,
    recipe: Recipe,
    voice: Voice,
    *,
    audio: Path | None = None,
    feeds: Path | None = None,
    explain: bool = False,
    native: bool = False,
) -> int:
    """Apply one recipe; the exit code. A folder's other models go on after a failure."""
    check_feeds(feeds)
    is_folder = model.is_dir()
    paths = find_models(model) if is_folder else [model]
    if not is_folder and out.suffix != ".onnx":
        out = out / model.name
    if out.suffix == ".onnx" and out.resolve() == model.resolve():
        raise InputError(f"{out}: is the input itself; choose another output")
    if is_folder and out.resolve() == model.resolve():
        raise InputError(f"{out}: is the input folder itself; choose another output")
    artifacts, code = _open(paths, voice)
    made: list[Variant] = []
    for artifact in artifacts:
        target = out / artifact.path.name if is_folder else out
        try:
            calibration = _calibration(recipe, artifact, audio, feeds, voice)
            with voice.task(f"{artifact.name}: {recipe.name}") as update:
                variant = build_variant(
                    artifact, recipe, target, calibration=calibration, progress=update
                )
        except (WorkbenchError, NotApplicable) as error:
            if not is_folder and isinstance(error, WorkbenchError):
                raise
            voice.error(f"{artifact.path.name}: {error}")
            code = max(code, getattr(error, "exit_code", 1))
            continue
        made.append(variant)
        _tell(artifact, variant, explain, voice)
        if native:
            try:
                made.append(_native_variant(artifact, recipe, target, calibration, voice))
            except (WorkbenchError, NotApplicable) as error:
                voice.error(f"{artifact.path.name}: {error}")
                code = max(code, getattr(error, "exit_code", 1))
                continue
            _tell(artifact, made[-1], explain, voice)
    voice.json({"variants": [asdict(v.record) | {"path": str(v.path)} for v in made]})
    return code


def _native_variant(
    artifact: Artifact, recipe: Recipe, portable: Path, calibration: FeedSet | None, voice: Voice
) -> Variant:
    """The same with the optional library's operators, which is built where it is missing."""
    build_library()
    name = f"{recipe.name}-native"
    out = portable.with_name(f"{portable.stem}.native.onnx")
    with voice.task(f"{artifact.name}: {name}") as update:
        return build_variant(
            artifact,
            find_recipe(name),
            out,
            calibration=calibration,
            portable=portable,
            progress=update,
        )


def _open(paths: list[Path], voice: Voice) -> tuple[list[Artifact], int]:
    artifacts, code = [], 0
    for path in paths:
        try:
            artifacts.append(open_artifact(path))
        except InputError as error:
            if len(paths) == 1:
                raise
            voice.error(str(error))
            code = 2
    return artifacts, code


def _calibration(
    recipe: Recipe, artifact: Artifact, audio: Path | None, feeds: Path | None, voice: Voice
) -> FeedSet | None:
    """Feeds through the chain of the models that lie beside this one, if the recipe needs any."""
    if not recipe.needs_calibration:
        return None
    beside = with_neighbours(artifact, voice)
    with tempfile.TemporaryDirectory(prefix="vampbench-") as scratch:
        ground = lay_ground(beside, load_audio(audio, voice), Path(scratch), 0, voice)
        return side_feeds(artifact, ground, CALIBRATION, feeds, 0, voice)


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
        voice.say(f"  needs the operator library for {names}; else {record['portable']} is opened")
    if record["precision"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in record["precision"].items())
        voice.say(f"  weights: {kinds}")
    for warning in record["warnings"]:
        voice.warn(warning)
    for line in float_lines(variant.record.float_nodes):
        voice.say(f"  float: {line}")
    for node in record["float_nodes"] if explain else []:
        voice.say(f"  left in float: {node['op_type']} {node['node']}: {node['reason']}")
    if variant.record.runtime is None:
        voice.say(f"  runtime: {NOT_CHECKED}")
    for missed in record["unmatched"] if explain else []:
        voice.say(f"  not fused: {missed['rule']} at {missed['node']}: {missed['reason']}")
