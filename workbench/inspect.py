"""`vampbench inspect`: what a model is, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import click

from vampnet_models.artifact import find_models
from vampnet_models.errors import InputError
from vampnet_models.inspection import Inspection, inspect_model
from workbench import options
from workbench.console import Voice, megabytes


@click.command()
@click.argument("models", nargs=-1, required=True, type=options.PATH)
@options.as_json
def inspect(models: tuple[Path, ...], as_json: bool) -> int:
    """Show inputs, outputs, opset, parameters, operators, role and known problems.

    MODELS are .onnx files or folders of them.

    \b
    Example:
      vampbench inspect coarse.onnx
    """
    voice = Voice(as_json=as_json)
    paths = [p for given in models for p in (find_models(given) if given.is_dir() else [given])]
    found: list[Inspection] = []
    failed: list[str] = []
    for path in paths:
        try:
            inspection = inspect_model(path)
        except InputError as error:
            if len(paths) == 1:
                raise
            failed.append(str(error))
            voice.error(str(error))
            continue
        found.append(inspection)
        if not as_json:
            show(voice, inspection)
    voice.json({"models": [i.as_json() for i in found], "errors": failed})
    return 2 if failed else 0


def show(voice: Voice, found: Inspection) -> None:
    """Print one model's facts."""
    voice.say(f"{found.path}")
    voice.say(f"  role        {found.role}{f', split form: {found.part}' if found.part else ''}")
    voice.say(
        f"  size        {megabytes(found.bytes)}, {found.n_parameters:,} parameters "
        f"({', '.join(f'{d} {n:,}' for d, n in found.dtypes.items())})"
    )
    voice.say(f"  opset       {found.opset} (IR {found.ir_version}), from {found.producer or '?'}")
    voice.say(f"  weights     {found.weights}")
    for kind, tensors in (("input", found.inputs), ("output", found.outputs)):
        for tensor in tensors:
            shape = ", ".join(str(d) if d is not None else "?" for d in tensor["shape"])
            voice.say(f"  {kind:<11} {tensor['name']} {tensor['dtype']} [{shape}]")
    voice.say(f"  operators   {', '.join(f'{n} {op}' for op, n in found.operators.items())}")
    for problem in found.problems:
        voice.say(f"  problem     {problem.kind}: {problem.text}")
    if not found.problems:
        voice.say("  problems    none known")
