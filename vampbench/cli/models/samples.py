"""`vampbench samples`: the built-in audio, as files."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.audio.samples import write_samples
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.onnxfile.artifact import check_folder


@click.command()
@options.output
@options.as_json
def samples(out: Path, as_json: bool) -> None:
    """Write the synthesised sample pack, about 60 s of varied sounds at 44.1 kHz.

    It is what calibration and verification use when no --audio folder is given.

    \b
    Example:
      vampbench samples -o samples
    """
    check_folder(out)
    console = Console(as_json=as_json)
    with console.task("synthesising") as update:
        update(0, 1)
        written = write_samples(out)
        update(1, 1)
    console.say(f"{len(written)} files in {out}")
    console.json({"files": [str(p) for p in written]})
