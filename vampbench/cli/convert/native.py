"""`vampbench native`: build the optional operator library."""

from __future__ import annotations

import click

from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.onnxfile.native import build_library, built_library


@click.command("native")
@options.as_json
def native(as_json: bool) -> int:
    """Build the operator library that `fuse --native` and `int8 --native` models use.

    It needs a C++17 compiler (g++) and nothing else. Models that use it run faster here and not on
    other runtimes; the portable model lies beside each, and is opened where the library is missing.
    The library goes to ~/.cache/vampbench, or where VAMPBENCH_CACHE says; `--native` builds it too.

    \b
    Examples:
      vampbench native --json
      vampbench int8 codec_decoder.onnx --native -o decoder.int8.onnx
    """
    console = Console(as_json=as_json)
    path = built_library()
    was_there = path is not None
    if path is None:
        with console.task("compiling the operators"):
            path = build_library()
    console.say(f"{path}  {'was there already' if was_there else 'built'}")
    console.json({"library": str(path), "built": not was_there})
    return 0
