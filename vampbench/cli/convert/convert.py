"""`vampbench fuse | bf16 | npu`, and what every conversion says of what it made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from calibration.feeds.source import source_at
from optimize.backends.fusion import fused_recipe
from optimize.recipes import Recipe, find_recipe
from vampbench.api.build import Means, build_all, tell_unused
from vampbench.api.variant import Variant
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.runtime import float_lines, mixed_lines, not_checked
from vampnet_models.errors import InputError
from vampnet_models.text import megabytes


def model_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL, -o and --json, as every conversion takes them."""
    return click.argument("model", type=options.PATH)(options.output(options.as_json(command)))


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
    console = Console(as_json=as_json)
    return convert(model, out, recipe, console, Means(native=native), explain=explain)


@click.command()
@native_option
@model_command
def bf16(model: Path, out: Path, native: bool, as_json: bool) -> int:
    """Store the weights of products in bfloat16: half the bytes, and nothing overflows.

    MODEL is an .onnx file or a folder of them; OUT is a file or a folder likewise. Of codecs, whose
    weights are those of convolutions, nothing is converted.

    OUT runs anywhere, in FP32: the runtime unfolds the weights at load. With `--native`, the model
    beside it multiplies in bfloat16 where the processor can (AVX512-BF16: AMD Zen 4 and later,
    Intel Xeon since 2020).

    
    Examples:
      vampbench bf16 coarse.onnx -o coarse.bf16.onnx
      vampbench bf16 coarse.onnx --native -o coarse.bf16.onnx
    """
    console = Console(as_json=as_json)
    return convert(model, out, find_recipe("bf16"), console, Means(native=native))


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
@options.sample_rate
@model_command
def npu(
    model: Path,
    out: Path,
    precision: str,
    audio: Path | None,
    feeds: Path | None,
    sample_rate_hz: int | None,
    as_json: bool,
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
    console = Console(as_json=as_json)
    means = Means(source_at(audio, feeds=feeds, sample_rate_hz=sample_rate_hz))
    return convert(model, out, find_recipe(f"npu-{precision}"), console, means)


def convert(
    model: Path,
    out: Path,
    recipe: Recipe,
    console: Console,
    means: Means,
    *,
    explain: bool = False,
    afterwards: Callable[[], dict[str, Any]] | None = None,
) -> int:
    """Apply one recipe and say what came of it; the exit code.

    What `afterwards` finds, once all is made, joins the JSON. Raises InputError for feeds where
    nothing is done with them.
    """
    feeds = means.source.feeds or means.source.evaluation_feeds
    if feeds is not None and not recipe.needs_calibration and afterwards is None:
        raise InputError(f"{feeds.name}: {recipe.name} calibrates nothing; leave out --feeds")
    if afterwards is None:
        tell_unused(means.source, recipe, console)
    made, code = build_all(model, out, recipe, means, console, partial(_tell, explain, console))
    more = afterwards() if afterwards is not None and code == 0 else {}
    records = [asdict(v.record) | {"path": str(v.path)} for v in made]
    console.json({"variants": records} | more)
    kept = all(recipe.keeps_share(v.record.bytes, v.record.source.bytes) for v in made)
    return code if kept else max(code, 1)


def _tell(explain: bool, console: Console, variant: Variant) -> None:
    record, source = asdict(variant.record), variant.record.source
    console.say(
        f"{variant.path}  {megabytes(record['bytes'])} "
        f"({record['bytes'] / source.bytes:.0%} of {megabytes(source.bytes)})"
    )
    if record["fusions"]:
        fused = ", ".join(f"{n} {rule}" for rule, n in record["fusions"].items() if n)
        console.say(f"  fused: {fused or 'nothing'}")
    if record["custom_operators"]:
        names = ", ".join(record["custom_operators"])
        instead = record["portable"]
        console.say(f"  needs the operator library for {names}; without it {instead} is opened")
    if record["precision"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in record["precision"].items())
        console.say(f"  weights: {kinds}")
    for line in mixed_lines(variant.record.mixed_nodes):
        console.say(f"  apart: {line}")
    for line in float_lines(variant.record.float_nodes):
        console.say(f"  float: {line}")
    for node in record["float_nodes"] if explain else []:
        console.say(f"  left in float: {node['op_type']} {node['node']}: {node['reason']}")
    if variant.record.runtime is None:
        console.say(f"  runtime: {not_checked(variant.path)}")
    for missed in record["unmatched"] if explain else []:
        console.say(f"  not fused: {missed['rule']} at {missed['node']}: {missed['reason']}")
