"""`vampbench feeds`: a template of a model's own inputs, for --feeds."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api.data import feeds_template
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.spec import TensorSpec

_MOST_SAMPLES = 1000


@click.command()
@click.argument("model", type=options.PATH)
@click.option(
    "--samples",
    type=click.IntRange(1, _MOST_SAMPLES),
    default=2,
    show_default=True,
    help="How many; of two and more half calibrates and half judges.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random values."
)
@options.output
@click.option("--force", is_flag=True, help="Overwrite a file that is there already.")
@options.as_json
def feeds(model: Path, samples: int, seed: int, out: Path, force: bool, as_json: bool) -> int:
    """Write a template of a model's inputs: names, shapes and random values, for --feeds.

    Put what the model really sees in the place of the random values: with numpy, `dict(np.load(
    FILE))` holds the arrays by name, and `np.savez(FILE, **arrays)` writes them. A free size may
    differ from sample to sample; states are inputs like any other.

    \b
    Examples:
      vampbench feeds coarse.onnx --samples 8 -o f.npz
      vampbench int8 coarse.onnx --feeds f.npz -o coarse.int8.onnx
    """
    console = Console(as_json=as_json)
    artifact = open_artifact(model)
    found = feeds_template(artifact, out, samples=samples, seed=seed, force=force)
    for warning in found.warnings:
        console.warn(warning)
    console.say(f"{out}  {samples} {'sample' if samples == 1 else 'samples'} for {artifact.name}")
    written = found.feeds[0]
    for tensor in artifact.spec.inputs:
        shape = list(written[tensor.name].shape)
        console.say(f"  {tensor.name}  {tensor.dtype} {shape}, declared {_sizes(tensor)}")
    console.say(f"all values are {found.upstream}; put real ones in their place")
    console.json(
        {
            "path": str(out),
            "samples": samples,
            "inputs": [
                {
                    "name": tensor.name,
                    "dtype": tensor.dtype,
                    "shape": list(written[tensor.name].shape),
                    "declared": list(tensor.shape),
                }
                for tensor in artifact.spec.inputs
            ],
        }
    )
    return 0


def _sizes(tensor: TensorSpec) -> str:
    """The declared shape for people: `[1, n]`."""
    return tensor.described.removeprefix(f"{tensor.dtype} ")
