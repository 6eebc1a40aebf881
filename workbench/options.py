"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from optimize.backends.inc import DEFAULT_INTERPRETER

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
backend = click.option(
    "--backend",
    type=click.Choice(["workbench", "neural-compressor"]),
    default="workbench",
    show_default=True,
    help="Who quantizes; neural-compressor runs apart, in the environment of `make env-inc`.",
)
inc_python = click.option(
    "--inc-python",
    type=PATH,
    envvar="VAMPBENCH_INC_PYTHON",
    default=DEFAULT_INTERPRETER,
    show_default=True,
    help="The interpreter that has neural-compressor; also VAMPBENCH_INC_PYTHON.",
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
