"""`vampbench native`: build the optional operator library."""

from __future__ import annotations

import click

from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.native.library import build_library, built_library, kernels_of


@click.command("native")
@options.as_json
def native(as_json: bool) -> int:
    """Build the operator library that models made with `--native` use.

    It needs a C++17 compiler (g++) and nothing else, or the wheel of vampnet-workbench-ops. Models
    that use it run faster here and not on other runtimes; the portable model lies beside each, and
    is opened where the library is missing. By which kernels it multiplies here is said too. The
    library goes to ~/.cache/vampbench, or where VAMPBENCH_CACHE says; `--native` builds it too.

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
    of_bytes, of_halves = kernels_of(path)
    console.say(f"{path}  {'was there already' if was_there else 'built'}")
    console.say(f"  8 bits     {of_bytes}")
    console.say(f"  bfloat16   {of_halves}")
    kernels = {"int8": of_bytes, "bfloat16": of_halves}
    console.json({"library": str(path), "built": not was_there, "kernels": kernels})
    return 0
