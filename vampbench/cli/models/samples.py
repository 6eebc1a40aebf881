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
    """Write the built-in sample pack as WAV files: 14 clips that calibrate, 26 that judge.

    They are used when no --audio folder is given. Each has 6 s of music, speech-like sound, drums,
    noise or near-silence. Each side has a folder of its own, and no work is in both.

    \b
    Example:
      vampbench samples -o samples
    """
    check_folder(out)
    console = Console(as_json=as_json)
    with console.task("writing") as update:
        update(0, 1)
        written = write_samples(out)
        update(1, 1)
    console.say(f"{len(written)} files in {out}")
    console.json({"files": [str(p) for p in written]})
