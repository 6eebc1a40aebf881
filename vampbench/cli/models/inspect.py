"""`vampbench inspect`: what a model is, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api import inspect as looking
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.runtime import float_lines, not_checked, tell
from vampnet_models.cache import Json
from vampnet_models.errors import WorkbenchError
from vampnet_models.onnxfile.artifact import find_models
from vampnet_models.onnxfile.operators import ATTENTION_OPS, PRODUCT_OPS
from vampnet_models.records.results import UNKNOWN_RATE, UNKNOWN_ROLE
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import VariantRecord
from vampnet_models.repair.inspection import Inspection
from vampnet_models.spec import TensorSpec
from vampnet_models.text import megabytes

_NOTES = (UNKNOWN_ROLE, UNKNOWN_RATE)
"""What is no fault of the model."""


@click.command()
@click.argument("models", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--runtime",
    is_flag=True,
    help="Read ONNX Runtime's own optimized graph back: what runs in integers, what in float.",
)
@options.as_json
def inspect(models: tuple[Path, ...], runtime: bool, as_json: bool) -> int:
    """Show inputs, outputs, opset, parameters, operators, role and known problems.

    MODELS are .onnx files or folders of them. Exits with 1 where a model cannot be right: NaN in
    its weights, a cycle, values from nowhere, sizes that disagree. Of a variant, --runtime also
    completes its variant.json, and exits with 1 where the graph does not keep the name's promise.

    \b
    Examples:
      vampbench inspect coarse.onnx
      vampbench inspect coarse.int8.onnx --runtime
    """
    console = Console(as_json=as_json)
    paths = [p for given in models for p in (find_models(given) if given.is_dir() else [given])]
    found: list[Json] = []
    failed = False
    missed: list[str] = []
    for path in paths:
        try:
            looked = looking.inspect(path, runtime=runtime, progress=console)
        except WorkbenchError as error:
            if len(paths) == 1:
                raise
            failed = True
            console.error(str(error))
            continue
        found.append(looked.as_json())
        if not as_json:
            _show(console, looked.inspection)
            _show_runtime(console, path, looked.record, looked.runtime)
        missed += [f"{path}: {fault}" for fault in looked.faults]
        if looked.missed is not None:
            console.error(f"{path}: {looked.missed}")
    console.json({"models": found, "missed": missed})
    return 2 if failed else int(bool(missed))


def _show_runtime(
    console: Console, path: Path, record: VariantRecord | None, facts: RuntimeFacts | None
) -> None:
    if record is not None:
        console.say(f"  variant     {record.recipe} of {record.source.name}")
        known = PRODUCT_OPS | ATTENTION_OPS if facts is not None else ()
        for line in float_lines(n for n in record.float_nodes if n.op_type not in known):
            console.say(f"  left        {line}")
    if facts is not None:
        tell(facts, record, console, indent="  ")
    elif record is not None:
        console.say(f"  runtime     {not_checked(path)}")


def _show(console: Console, found: Inspection) -> None:
    """Print one model's facts."""
    console.say(f"{found.path}")
    console.say(f"  role        {found.role}{f', split form: {found.part}' if found.part else ''}")
    console.say(
        f"  size        {megabytes(found.bytes)}, {found.n_parameters:,} parameters "
        f"({', '.join(f'{d} {n:,}' for d, n in found.dtypes.items())})"
    )
    console.say(
        f"  opset       {found.opset} (IR {found.ir_version}), from {found.producer or '?'}"
    )
    if found.family is not None:
        console.say(f"  family      {found.family.described}")
    console.say(f"  weights     {found.weights}")
    for kind, tensors in (("input", found.inputs), ("output", found.outputs)):
        for tensor in tensors:
            console.say(f"  {kind:<11} {tensor['name']} {TensorSpec(**tensor).described}")
    console.say(f"  operators   {', '.join(f'{n} {op}' for op, n in found.operators.items())}")
    for problem in found.problems:
        label = "note" if problem.kind in _NOTES else "problem"
        console.say(f"  {label:<11} {problem.kind}: {problem.text}")
    if all(problem.kind in _NOTES for problem in found.problems):
        console.say("  problems    none known")
