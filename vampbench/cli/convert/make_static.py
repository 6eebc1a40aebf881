"""`vampbench make-static`: a model for one length, as phones' NPUs want it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

from optimize.origin import check_origin
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import load_model, open_artifact
from vampnet_models.onnxfile.outputs import model_output
from vampnet_models.shapes.fix_shapes import fix_shapes
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.spec import ModelSpec, Role
from vampnet_models.text import megabytes

_MOST_INPUT_BYTES = 256 * 1000 * 1000
"""Half an hour of the encoder's samples; what is fixed is meant for windows of seconds."""


@click.command("make-static")
@click.argument("model", type=options.PATH)
@click.option(
    "--frames", type=click.IntRange(1), default=173, show_default=True, help="The only length."
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
def make_static(model: Path, frames: int, batch: int, out: Path, as_json: bool) -> int:
    """Fix a model's length and batch: NNAPI, CoreML and Qualcomm's NPU want fixed shapes.

    A frame is 768 samples at 44.1 kHz, so that 173 frames are 3 s. The tokens stay the same;
    `verify` shows it.

    \b
    Examples:
      vampbench make-static coarse.onnx --frames 173 -o coarse.173.onnx
      vampbench verify coarse.onnx coarse.173.onnx
    """
    console = Console(as_json=as_json)
    target = model_output(out, model)
    source = open_artifact(model)
    check_origin(load_model(model), source, as_exported=False)
    shapes = _shapes_for(source.spec, frames, batch, model)
    _check_bytes(source.spec, shapes, frames, batch)
    found = fix_shapes(model, shapes, target)
    made = open_artifact(target)
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    console.say(f"{target}  {megabytes(made.bytes)}: takes {listed} alone")
    for node in found.unresolved:
        console.warn(f"{node.op_type} {node.node}: its shape stays open: {node.reason}")
    console.json(
        {
            "path": str(target),
            "bytes": made.bytes,
            "inputs": {name: list(shape) for name, shape in shapes.items()},
            "unresolved": [vars(node) for node in found.unresolved],
        }
    )
    return 0


def _check_bytes(spec: ModelSpec, shapes: Mapping[str, Shape], frames: int, batch: int = 1) -> None:
    """Raise InputError where the inputs alone would be larger than any phone should hold."""
    n_bytes = sum(math.prod(shapes[t.name]) * np.dtype(t.dtype).itemsize for t in spec.inputs)
    if n_bytes > _MOST_INPUT_BYTES:
        asked = f"--frames {frames}" + (f" --batch {batch}" if batch > 1 else "")
        raise InputError(
            f"{asked}: its inputs would take {megabytes(n_bytes)}, more than the "
            f"{megabytes(_MOST_INPUT_BYTES)} that a model of one length may; give less"
        )


def _shapes_for(spec: ModelSpec, frames: int, batch: int, path: Path) -> dict[str, Shape]:
    """Input shapes `[batch, channels, frames]`, of the encoder in samples. Raises InputError."""
    if spec.role in (Role.GENERIC, Role.BEATS):
        raise InputError(f"{path}: its axes have no known meaning; only VampNet's models are taken")
    length = frames * VAMPNET.hop_samples if spec.role is Role.CODEC_ENCODER else frames
    shapes = {}
    for tensor in spec.inputs:
        channels = [size for size in tensor.shape[1:-1] if isinstance(size, int)]
        if len(channels) < len(tensor.shape) - 2:
            raise InputError(f"{path}: the input {tensor.name} has an open channel axis")
        shapes[tensor.name] = (batch, *channels, length)
    return shapes
