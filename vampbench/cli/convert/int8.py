"""`vampbench int8`: 8-bit weights and activations; static ones are calibrated."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.feeds.source import source_at
from calibration.ranges.observers import OBSERVERS
from optimize.backends import inc
from optimize.recipe_settings import StaticSettings, dynamic_recipe, static_recipe
from optimize.recipes import INT8_STATIC
from vampbench.api.build import Means
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.convert.convert import convert, native_option
from vampnet_models.errors import InputError


@click.command()
@click.argument("model", type=options.PATH)
@click.option(
    "--mode",
    type=click.Choice(["static", "dynamic", "smoothquant"]),
    default="static",
    show_default=True,
    help="Ranges of activations from audio, or taken as they come; smoothquant is Neural "
    "Compressor's, our static smooths where it helps.",
)
@options.audio
@options.evaluation_audio
@native_option
@click.option(
    "--observer",
    type=click.Choice(OBSERVERS),
    help=f"What chooses the ranges (default: {INT8_STATIC.observer}).",
)
@click.option(
    "--activations",
    type=click.Choice(["u8", "s8"]),
    help="s8: symmetric with zero point 0, for TensorRT, NPUs and ARM (default: u8). Costs up to a "
    "bit where values are mostly of one sign; on x86 the runtime computes it by its u8 kernels.",
)
@click.option(
    "--bias-correction/--no-bias-correction",
    default=None,
    help="Convolutions: take the mean error of rounded weights out of the bias (default: off).",
)
@click.option(
    "--calibration",
    cls=options.Once,
    type=options.PATH,
    help="FILE.npz that keeps the ranges: used where it is there (another model's is refused), "
    "else written. Default: beside the output.",
)
@options.tables
@options.max_memory
@options.upstream
@options.feeds
@options.evaluation_feeds
@options.sample_rate
@options.backend
@options.inc_python
@options.output
@options.as_json
def int8(
    model: Path,
    out: Path,
    mode: str,
    observer: str | None,
    activations: str | None,
    bias_correction: bool | None,
    calibration: Path | None,
    tables: bool,
    max_memory: int | None,
    upstream: tuple[Path, ...],
    backend: str,
    inc_python: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    native: bool,
    as_json: bool,
) -> int:
    """Quantize weights and activations to INT8.

    MODEL is an .onnx file or a folder of them; OUT is a file or a folder likewise.

    `static` calibrates the activations on sample audio, through the chain that the model stands
    in: put the other models beside it, or name quantized ones with --upstream. What was
    calibrated is kept in NAME.calibration.npz beside the output: an interrupted calibration goes
    on there. With --evaluation-audio or --evaluation-feeds, values outside the calibrated ranges
    are told. `dynamic` needs no audio.

    \b
    Examples:
      vampbench int8 models --mode static --audio recordings -o models-int8
      vampbench int8 coarse.onnx --feeds f.npz -o coarse.static.onnx
      vampbench int8 c2f.onnx --observer mse --upstream coarse.int8.onnx -o c2f.int8.onnx
      vampbench int8 codec_decoder.onnx --activations s8 -o codec_decoder.s8.onnx
      vampbench int8 coarse.onnx --backend neural-compressor --mode smoothquant -o coarse.inc.onnx
    """
    console = Console(as_json=as_json)
    given = {
        "--observer": observer,
        "--activations": activations,
        "--bias-correction": bias_correction,
        "--calibration": calibration,
        "--max-memory": max_memory,
        "--upstream": upstream or None,
        "--evaluation-audio": evaluation_audio,
        "--evaluation-feeds": evaluation_feeds,
    }
    if tables and backend != "workbench":
        raise InputError(f"--tables: not of --backend {backend}; choose one of them")
    if native and tables:
        raise InputError("--native: leaves tables in float; leave --tables")
    if native and backend != "workbench":
        raise InputError(f"--native: not of --backend {backend}; choose one of them")
    recipe = static_recipe(
        StaticSettings(observer, activations or "u8", bool(bias_correction), tables)
    )
    if native and recipe is not INT8_STATIC:
        raise InputError(
            f"--native: takes {INT8_STATIC.observer} ranges, u8 activations and plain biases; "
            "leave --observer, --activations and --bias-correction"
        )
    source = source_at(audio, evaluation_audio, feeds, evaluation_feeds, sample_rate_hz)
    means = Means(source, upstream, calibration, max_memory, native)
    named = [name for name, value in given.items() if value is not None]
    if backend == "neural-compressor":
        if named:
            raise InputError(f"{named[0]}: Neural Compressor calibrates its own way; leave it out")
        recipe = inc.int8_recipe(mode, inc_python)
        return convert(model, out, recipe, console, means)
    if mode == "smoothquant":
        raise InputError("smoothquant: a mode of --backend neural-compressor; ours is static")
    if mode == "dynamic":
        if named:
            raise InputError(f"{named[0]}: --mode dynamic calibrates nothing; leave it out")
        recipe = dynamic_recipe(tables)
        return convert(model, out, recipe, console, means)
    return convert(model, out, recipe, console, means)
