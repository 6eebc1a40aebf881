"""`vampbench import`: checkpoints in, verified ONNX models out."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vampbench.api.new_models import import_checkpoints as import_models
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.importing.accounting import account_summary, account_table
from vampnet_models.importing.importer import ImportResult
from vampnet_models.text import megabytes


@click.command("import")
@click.argument("checkpoints", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--base",
    "bases",
    multiple=True,
    type=options.PATH,
    help="A transformer that a LoRA file among CHECKPOINTS changes.",
)
@click.option(
    "--golden",
    cls=options.Once,
    type=options.PATH,
    help="FILE.npz with the original's answers to check against.",
)
@click.option(
    "--self-check/--no-self-check",
    default=True,
    help="Compare with an eager PyTorch model of the same file, where torch is installed.",
)
@click.option("--parameters", is_flag=True, help="Print what became of every parameter.")
@options.sample_rate
@options.output
@options.as_json
def import_checkpoints(
    checkpoints: tuple[Path, ...],
    bases: tuple[Path, ...],
    golden: Path | None,
    self_check: bool,
    parameters: bool,
    sample_rate_hz: int | None,
    out: Path,
    as_json: bool,
) -> int:
    """Turn CODEC.pth, COARSE.pth and C2F.pth (or a folder of them) into ONNX models.

    What a file is, its content says. Nothing in it is executed, no torch is needed, and every
    parameter is accounted for, in OUT/import.json too. A LoRA file needs the transformer that it
    was trained on: name it with --base.

    \b
    Examples:
      vampbench import codec.pth coarse.pth c2f.pth -o models --golden golden.npz
      vampbench import codec.pth c2f.pth --base coarse.pth lora.pth -o models
    """
    console = Console(as_json=as_json)
    result = import_models(
        checkpoints,
        out,
        bases=bases,
        golden=golden,
        self_check=self_check,
        sample_rate_hz=sample_rate_hz,
        progress=console,
    )
    _show(result, console)
    for account in result.accounts if parameters else ():
        console.say(account_table(account))
    console.json(json.loads(result.record.read_text(encoding="utf-8")))
    if result.golden is not None:
        result.golden.require()
    if result.eager is not None:
        result.eager.require()
    return 0


def _show(result: ImportResult, console: Console) -> None:
    """Print what was written from what, and what became of the parameters."""
    for model in result.models:
        sources = " + ".join(model.sources)
        console.say(
            f"{model.path}  {model.role.value}, {megabytes(model.bytes)}, "
            f"{model.n_parameters:,} parameters, from {sources}"
        )
    for account in result.accounts:
        console.say(account_summary(account))
    held = sum(model.n_parameters for model in result.models)
    used = sum(account.n_parameters("used") for account in result.accounts)
    if held > used:
        console.say(
            f"{held - used:,} parameters stand more than once: codebooks are in every model that "
            "needs them, and the encoder also holds them as it searches them"
        )
    for ignored in result.ignored:
        console.say(f"ignored: {ignored.name}: {ignored.reason}")
    for warning in result.warnings:
        console.warn(warning)
    for kind, verified in (("golden", result.golden), ("eager", result.eager)):
        for figure in verified.figures if verified is not None else ():
            console.say(f"{kind}: {figure.line()}")
    console.say(f"record   {result.record}")
