"""`vampbench qnn`: what Qualcomm's NPU takes of a model, and which tokens it would choose."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.feeds.source import source_at
from vampbench.api.devices import qnn as compiling
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.onnxfile.artifact import check_output
from vampnet_models.records.evidence import Compiled
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import COMPILED, versioned
from vampnet_models.text import megabytes, percent


@click.command()
@click.argument("reference", type=options.PATH)
@click.argument("variants", nargs=-1, type=options.PATH)
@click.option(
    "--soc",
    type=click.Choice(list(compiling.SOC_NAMES)),
    default="8-gen-3",
    show_default=True,
    help="The Snapdragon whose NPU is compiled for.",
)
@click.option(
    "--frames",
    type=click.IntRange(compiling.FEWEST_FRAMES),
    default=24,
    show_default=True,
    help="The fixed length in frames of the model's codec; emulation is slow.",
)
@click.option(
    "--states",
    type=options.STEPS,
    default=4,
    show_default=True,
    help="Inputs to emulate.",
)
@click.option(
    "--emulate/--no-emulate", default=True, show_default=True, help="Also compare the tokens."
)
@options.audio
@options.feeds
@options.evaluation_feeds
@options.sample_rate
@click.option(
    "-o", "--output", "out", cls=options.Once, type=options.PATH, help="Write the JSON here too."
)
@options.as_json
def qnn(
    reference: Path,
    variants: tuple[Path, ...],
    soc: str,
    frames: int,
    states: int,
    emulate: bool,
    audio: Path | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Compile VARIANTS for Qualcomm's NPU, without a phone; REFERENCE is their FP32 source.

    The real compiler runs on Linux x86-64 (extra `qnn`): its trace says which nodes the NPU
    refuses and why, and its emulator which tokens the NPU chooses. It tells nothing about speed.
    Without VARIANTS the reference itself is compiled; the NPU computes it in FP16.
    Variants for the NPU are made by `vampbench npu`.

    \b
    Example:
      vampbench qnn models/coarse.onnx coarse.npu.onnx --frames 24 --states 4
    """
    console = Console(as_json=as_json)
    if out is not None:
        check_output(out, reference, *variants)
    found = compiling.qnn(
        reference,
        variants,
        source_at(audio, None, feeds, evaluation_feeds, sample_rate_hz),
        soc=soc,
        frames=frames,
        states=states,
        emulate=emulate,
        progress=console,
    )
    for path, made in found.compiled.items():
        _tell(str(path), made, console)
    if out is not None:
        write_record(found.file, COMPILED, out)
    console.json(versioned(found.file, COMPILED))
    return int(bool(found.failed))


def _tell(name: str, made: Compiled, console: Console) -> None:
    """Print what was found, each figure under its level of evidence."""
    console.say(name)
    console.say(
        f"  compiled    for {made.soc}: {made.supported} of {made.nodes} nodes "
        f"({percent(made.flops_share)} of the FLOPs) in {made.partitions} part"
        f"{'' if made.partitions == 1 else 's'}, context binary {megabytes(made.context_bytes)}"
    )
    for refusal in made.refusals:
        console.say(f"  refused     {refusal.nodes} {refusal.op_type}: {refusal.reason}")
    each = made.emulated
    if each is None:
        console.say(f"  emulated    no: {made.not_emulated}")
    elif each.measure == "tokens":
        console.say(
            f"  emulated    token agreement {percent(each.to_reference)} "
            f"({each.n_positions:,} tokens); on the CPU {percent(each.variant_to_reference)}; "
            f"{percent(each.to_variant)} as on the CPU"
        )
    else:
        console.say(
            f"  emulated    SI-SDR {each.to_reference:.1f} dB to FP32; the CPU has "
            f"{each.variant_to_reference:.1f} dB; {each.to_variant:.1f} dB to the CPU"
        )
