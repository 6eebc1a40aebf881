"""`vampbench fp16`: float16, with what must not overflow kept in float32 by measurement."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from calibration.feeds.source import source_at
from calibration.ranges.observers import Range
from optimize.precision.fp16.convert import Float16
from optimize.precision.fp16.ranges import load_ranges, save_ranges
from optimize.recipe_settings import fp16_recipe
from vampbench.api.build import Means
from vampbench.api.emulate import emulate_fp16
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.convert.convert import convert
from vampbench.cli.judge.verify import show
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import check_output, open_artifact
from vampnet_models.onnxfile.outputs import model_output
from vampnet_models.records.accuracy import AccuracyReport


@click.command()
@click.argument("model", type=options.PATH)
@click.option(
    "--io",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type of the inputs and outputs that are float.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Keep in FP32 what would overflow on --audio or --feeds.",
)
@click.option(
    "--save-ranges",
    "save_ranges_to",
    cls=options.Once,
    type=options.PATH,
    help="Keep what --measure finds here.",
)
@click.option(
    "--ranges",
    cls=options.Once,
    type=options.PATH,
    help="Use ranges that were saved for this model.",
)
@click.option(
    "--emulate",
    is_flag=True,
    help="Also compare with FP32, in the arithmetic of a device that has FP16.",
)
@click.option(
    "--keep-op",
    "keep_ops",
    multiple=True,
    metavar="TYPE",
    help="Operator that stays in FP32, as Softmax. May be given several times.",
)
@click.option(
    "--keep-node",
    "keep_nodes",
    multiple=True,
    metavar="NAME",
    help="Node that stays in FP32. May be given several times.",
)
@options.audio
@options.feeds
@options.evaluation_feeds
@options.sample_rate
@options.output
@options.as_json
def fp16(
    model: Path,
    keep_ops: tuple[str, ...],
    keep_nodes: tuple[str, ...],
    io: str,
    measure: bool,
    save_ranges_to: Path | None,
    ranges: Path | None,
    emulate: bool,
    audio: Path | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    out: Path,
    as_json: bool,
) -> int:
    """Convert weights and arithmetic to FP16; what decides the codes stays in FP32.

    MODEL is an .onnx file or a folder of them; OUT is a file or a folder likewise.

    On x86 the runtime computes FP16 models in FP32: `--emulate` rounds every result as a device
    with FP16 would, and says what that costs in tokens.

    \b
    Examples:
      vampbench fp16 coarse.onnx -o coarse.fp16.onnx
      vampbench fp16 coarse.onnx --measure --save-ranges r.json --emulate -o coarse.fp16.onnx
    """
    console = Console(as_json=as_json)
    measure = measure or save_ranges_to is not None
    if (feeds or evaluation_feeds) and not (measure or emulate):
        raise InputError(
            f"{feeds or evaluation_feeds}: FP16 alone calibrates nothing; add --measure or "
            "--emulate, or leave out --feeds"
        )
    if measure and ranges is not None:
        raise InputError(f"{ranges}: measured before; leave out --measure and --save-ranges")
    if model.is_dir() and (measure or ranges or emulate or keep_nodes):
        raise InputError(f"{model}: is a folder; ranges, nodes and --emulate are of one model")
    if save_ranges_to is not None:
        check_output(save_ranges_to, model)
    if not model.is_dir():
        out = model_output(out, model)
    data = source_at(audio, None, feeds, evaluation_feeds, sample_rate_hz)
    found: dict[str, Range] = {}
    given = load_ranges(ranges, open_artifact(model).sha256) if ranges is not None else None
    settings = Float16(
        keep_nodes=keep_nodes,
        keep_ops=keep_ops,
        keep_io=io == "float32",
        ranges=given,
        measure=measure,
        on_ranges=found.update,
    )
    compared: dict[str, AccuracyReport] = {}

    def afterwards() -> dict[str, Any]:
        if save_ranges_to is not None:
            save_ranges(save_ranges_to, open_artifact(model).sha256, found)
            console.say(f"{save_ranges_to}  {len(found)} ranges")
        if not emulate:
            return {}
        kept = Float16(keep_nodes, keep_ops, ranges=found or given)
        compared.update(emulate_fp16(model, out, kept, data, progress=console))
        for title, report in compared.items():
            console.say(f"{title}:")
            show(report, console)
        return {"emulated": {title: asdict(report) for title, report in compared.items()}}

    recipe = fp16_recipe(settings)
    code = convert(model, out, recipe, console, Means(data), afterwards=afterwards)
    for title, report in compared.items():
        if report.nonfinite:
            console.error(f"{title}: {report.nonfinite} outputs are NaN or infinite; use --measure")
            code = max(code, PromiseMissed.exit_code)
    return code
