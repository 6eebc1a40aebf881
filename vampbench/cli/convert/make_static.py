"""`vampbench make-static`: a model for one length, as phones' NPUs want it."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api.devices import lengths as fixing
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.text import megabytes


@click.command("make-static")
@click.argument("model", type=options.PATH)
@click.option(
    "--frames",
    type=click.IntRange(1),
    help="The only length, by default 3 s of the model's own frames.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Sounds at once; `verify` and `profile` feed one.",
)
@options.output
@options.as_json
def make_static(model: Path, frames: int | None, batch: int, out: Path, as_json: bool) -> int:
    """Fix a model's length and batch: NNAPI, CoreML and Qualcomm's NPU want fixed shapes.

    A frame is what the codec makes one code of: VampNet's is 768 samples at 44.1 kHz, so that 173
    frames are 3 s; so many are taken too where nothing tells a codec's sample rate.
    The tokens stay the same; `verify` shows it.

    \b
    Examples:
      vampbench make-static coarse.onnx --frames 173 -o coarse.173.onnx
      vampbench verify coarse.onnx coarse.173.onnx
    """
    console = Console(as_json=as_json)
    found = fixing.make_static(model, out, frames=frames, batch=batch)
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in found.inputs.items())
    console.say(f"{found.path}  {megabytes(found.bytes)}: takes {listed} alone")
    for node in found.unresolved:
        console.warn(f"{node.op_type} {node.node}: its shape stays open: {node.reason}")
    console.json(found.as_json())
    return 0
