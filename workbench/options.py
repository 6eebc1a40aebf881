"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
output = click.option("-o", "--output", "out", type=PATH, required=True, help="Where to write.")
audio = click.option(
    "--audio", type=PATH, help="Folder of recordings (default: the built-in sample pack)."
)
evaluation_audio = click.option(
    "--evaluation-audio",
    type=PATH,
    help="Judge on this folder's recordings; all of --audio then calibrates.",
)
threads = click.option(
    "--threads", type=click.IntRange(0), default=0, help="Threads; 0 takes all cores."
)
feeds = click.option(
    "--feeds", type=PATH, help="FILE.npz with the inputs of a model that is none of the four."
)
min_agreement = click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    help="Exit with 1 when a variant's token agreement lies below this share.",
)
targets = click.option(
    "--targets",
    default="cpu,cuda,mobile",
    show_default=True,
    help="Comma-separated; cpu:N measures with N threads.",
)
operators = click.option(
    "--operators",
    is_flag=True,
    help="Also time each operator against this machine's measured peaks, and cold starts (CPU).",
)
