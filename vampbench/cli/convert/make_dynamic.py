"""`vampbench make-dynamic`: free a transformer from the one length it was exported for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from vampbench.api.devices import lengths
from vampbench.cli import options
from vampbench.cli.console import Console


@click.command("make-dynamic")
@click.argument("model", type=options.PATH)
@options.output
@options.as_json
def make_dynamic(model: Path, out: Path, as_json: bool) -> int:
    """Turn a transformer of one fixed length into one of any length, where that is exact.

    MODEL is an .onnx file that another exporter wrote for one length. Constants made for that
    length are replaced by ones that follow it; the result is compared with MODEL at its own
    length and run at others. A graph that cannot be freed exactly is refused with the reason.

    \b
    Example:
      vampbench make-dynamic coarse_transformer_v2.onnx -o coarse_dynamic.onnx
    """
    console = Console(as_json=as_json)
    found = lengths.make_dynamic(model, out, progress=console)
    reach = "any length" if found.longest is None else f"up to {found.longest} frames"
    console.say(f"{found.path}: was fixed at {found.own_frames} frames, takes {reach}")
    console.say(
        f"  verified    differs by {found.largest_difference:.1e} of the largest value at "
        f"{found.own_frames} frames; runs at {', '.join(map(str, found.tried))}"
    )
    for change in found.changes:
        console.say(f"  replaced    {change}")
    console.json(asdict(found) | {"path": str(found.path)})
    return 0
