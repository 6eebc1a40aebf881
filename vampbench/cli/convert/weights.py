"""`vampbench weights`: the weights alone in 8 or 4 bits."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.feeds.source import source_at
from optimize.backends import inc
from optimize.recipe_settings import mixed_recipe, weights_recipe
from optimize.recipes import MIXED_SHARE
from vampbench.api.build import Means
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.convert.convert import convert, model_command
from vampnet_models.errors import InputError

_NOT_WITH_MIXED = "--block, --method, --compute and --tables"


@click.command()
@click.option(
    "--bits",
    type=click.Choice(["8", "4", "mixed"]),
    default="8",
    show_default=True,
    help="Of each weight; 4 halves the file again, and costs tokens. `mixed`: 4, 6 or 8 by what "
    "each product's error does to the output, so that --share is kept.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    help=f"With `--bits mixed`: of FP32's bytes, what the file may take (by itself {MIXED_SHARE}).",
)
@click.option(
    "--block",
    type=click.Choice(["32", "64", "128", "channel"]),
    default="32",
    show_default=True,
    help="Weights of a MatMul that share a scale.",
)
@click.option(
    "--method",
    type=click.Choice(["symmetric", "asymmetric", "fitted", "gptq", "awq"]),
    default="symmetric",
    show_default=True,
    help="Without or with zero points; `fitted`: with the range of least error; `gptq`: rounded so "
    "that errors cancel out on sample audio (slower, and by far the best at 4 bits); `awq`: Neural "
    "Compressor's, whose first two round to nearest (RTN).",
)
@click.option(
    "--compute",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="int8 quantizes the inputs of MatMuls as well, block by block: faster, less exact.",
)
@options.tables
@options.backend
@options.inc_python
@options.audio
@options.feeds
@options.sample_rate
@model_command
def weights(
    model: Path,
    out: Path,
    bits: str,
    share: float | None,
    block: str,
    method: str,
    compute: str,
    tables: bool,
    backend: str,
    inc_python: Path,
    audio: Path | None,
    feeds: Path | None,
    sample_rate_hz: int | None,
    as_json: bool,
) -> int:
    """Quantize the weights alone to INT8 or INT4; activations stay in float.

    MODEL is an .onnx file or a folder of them; OUT is a file or a folder likewise.

    `gptq` and `--bits mixed` run the model on sample audio, through the chain that it stands in:
    put the other models beside it. The other methods read the weights alone.

    \b
    Examples:
      vampbench weights coarse.onnx -o coarse.int8w.onnx
      vampbench weights coarse.onnx --bits 4 --block 64 --method gptq -o coarse.int4.onnx
      vampbench weights coarse.onnx --bits mixed -o coarse.mixed.onnx
      vampbench weights coarse.onnx --bits 4 --backend neural-compressor --method awq -o awq.onnx
    """
    if share is not None and bits != "mixed":
        raise InputError(f"--share: not of --bits {bits}, whose size is given; add --bits mixed")
    if backend == "neural-compressor":
        if bits == "mixed":
            raise InputError("mixed: not of --backend neural-compressor; choose one of them")
        if compute != "float":
            raise InputError(
                f"{compute}: Neural Compressor's MatMuls compute in float; leave it out"
            )
        if tables:
            raise InputError("--tables: not of --backend neural-compressor; choose one of them")
        recipe = inc.weights_recipe(bits, block, method, inc_python)
    elif method == "awq":
        raise InputError("awq: a method of --backend neural-compressor; ours is gptq")
    elif bits == "mixed":
        if (block, method, compute, tables) != ("32", "symmetric", "float", False):
            raise InputError(f"mixed: chooses by itself; leave out {_NOT_WITH_MIXED}")
        recipe = mixed_recipe(MIXED_SHARE if share is None else share)
    else:
        recipe = weights_recipe(bits, block, method, compute, tables)
    console = Console(as_json=as_json)
    return convert(
        model,
        out,
        recipe,
        console,
        Means(source_at(audio, feeds=feeds, sample_rate_hz=sample_rate_hz)),
    )
