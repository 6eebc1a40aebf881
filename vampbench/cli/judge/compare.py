"""`vampbench compare`: original, reference and variants of one recording, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api.listen import compare as comparing
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.text import percent


@click.command()
@click.argument("recording", type=options.PATH)
@click.option(
    "--run",
    "run_dir",
    cls=options.Once,
    type=options.PATH,
    required=True,
    help="Folder that `vampbench run` or `demo` wrote.",
)
@click.option(
    "--duration",
    "duration_s",
    type=options.Finite(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds of the recording to take.",
)
@options.output
@options.as_json
def compare(recording: Path, run_dir: Path, duration_s: float, out: Path, as_json: bool) -> None:
    """Send RECORDING through the codec of every recipe and write each as WAV.

    OUT receives 0-original.wav, 1-reference.wav and one file per recipe whose encoder and
    decoder were both made: RECORDING encoded and decoded by that recipe's own pair.

    \b
    Example:
      vampbench compare song.wav --run out/demo -o listen
    """
    console = Console(as_json=as_json)
    found = comparing.compare(recording, run_dir, out, duration_s=duration_s, progress=console)
    columns = (
        "file",
        "agreement",
        "SI-SDR to reference",
        "SI-SDR to original",
        "log-mel to original",
    )
    rows = [
        (
            each.file,
            percent(each.codes_equal),
            f"{each.si_sdr_to_reference_db:.1f} dB",
            f"{each.si_sdr_to_original_db:.1f} dB",
            f"{each.log_mel_to_original_db:.2f} dB",
        )
        for each in found.files
    ]
    title = f"{recording.name}, {found.duration_s:.1f} s, by encoder and decoder together"
    console.table(title, columns, rows)
    console.say(f"{out}")
    console.json(found.as_json())
