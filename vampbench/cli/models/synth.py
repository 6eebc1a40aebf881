"""`vampbench synth`: whole sets of models with seeded weights."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api.new_models import synth as write_set
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.architectures.synth import PRESETS
from vampnet_models.text import megabytes


@click.command()
@click.option(
    "--preset",
    type=click.Choice([p.name for p in PRESETS]),
    default="small",
    show_default=True,
    help="; ".join(f"{p.name}: {p.summary}" for p in PRESETS),
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the weights.",
)
@options.output
@options.as_json
def synth(preset: str, seed: int, out: Path, as_json: bool) -> None:
    """Write the four models with seeded random weights of realistic statistics.

    For trying every step at any size. Agreement on seeded weights is not an accuracy claim.

    \b
    Example:
      vampbench synth --preset vampnet -o models
    """
    console = Console(as_json=as_json)
    artifacts = write_set(out, preset=preset, seed=seed, progress=console).values()
    for artifact in artifacts:
        console.say(f"{artifact.path}  {megabytes(artifact.bytes)}  {artifact.role.value}")
    console.say("seeded weights: not an accuracy claim")
    console.json({"models": [{"path": str(a.path), "bytes": a.bytes} for a in artifacts]})
