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
    is opened where the library is missing. By which kernels it computes here is said too. The
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
    kernels = kernels_of(path)
    console.say(f"{path}  {'was there already' if was_there else 'built'}")
    for label, dtype in (("8 bits", "int8"), ("bfloat16", "bfloat16"), ("float32", "float32")):
        console.say(f"  {label:8s}   {kernels[dtype]}")
    console.json({"library": str(path), "built": not was_there, "kernels": kernels})
    return 0
