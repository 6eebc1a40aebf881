"""`vampbench qnn`: what Qualcomm's NPU takes of a model, and which tokens it would choose."""

from __future__ import annotations

import json
from pathlib import Path

import click

from calibration.feeds.chain_inputs import evaluation_feeds_of
from calibration.feeds.lengths import short_states
from calibration.feeds.source import source_at
from profiles.host import describe_host
from profiles.targets.qnn import PACKAGE, SOCS, Compiled, compile_variant, unavailable
from vampbench.api.interface import check_same_interface
from vampbench.api.models import as_artifact
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_output, open_artifact, write_text
from vampnet_models.text import megabytes, percent

_SOC_NAMES = {"8-gen-3": SOCS[0], "8-elite": SOCS[1]}


@click.command()
@click.argument("reference", type=options.PATH)
@click.argument("variants", nargs=-1, type=options.PATH)
@click.option(
    "--soc",
    type=click.Choice(list(_SOC_NAMES)),
    default="8-gen-3",
    show_default=True,
    help="The Snapdragon whose NPU is compiled for.",
)
@click.option(
    "--frames",
    type=click.IntRange(8),
    default=24,
    show_default=True,
    help="The fixed length, 17.4 ms each; emulation is slow.",
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
@click.option("-o", "--output", "out", type=options.PATH, help="Write the JSON here too.")
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
    fed_from = source_at(audio, None, feeds, evaluation_feeds, sample_rate_hz)
    if out is not None:
        check_output(out, reference, *variants)
    source = as_artifact(reference, sample_rate_hz)
    artifacts = [open_artifact(path) for path in variants] or [source]
    for artifact in artifacts:
        check_same_interface(source, artifact)
    missing = unavailable()
    if missing is not None:
        raise InputError(missing)
    found = evaluation_feeds_of(source, fed_from, 0, console)
    short = short_states(source, found.feeds, frames, states)
    records: dict[str, Json] = {}
    code = 0
    for artifact in artifacts:
        try:
            with console.task(f"{artifact.path}: compiling{' and emulating' if emulate else ''}"):
                made = compile_variant(
                    artifact.path, reference, short, soc=_SOC_NAMES[soc], emulate=emulate
                )
        except InputError as error:
            console.error(str(error))
            records[str(artifact.path)] = {"kind": "failed", "reason": str(error)}
            code = 1
            continue
        records[str(artifact.path)] = made.as_json()
        _tell(str(artifact.path), made, console)
    result: Json = {
        "command": "vampbench qnn",
        "reference": str(reference),
        "reference_sha256": source.sha256,
        "host": describe_host().as_json(),
        "compiler": _compiler(),
        "variants": records,
    }
    if out is not None:
        write_text(out, json.dumps(result, indent=1, allow_nan=False))
    console.json(result)
    return code


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


def _compiler() -> str:
    from importlib.metadata import version

    return f"{PACKAGE} {version(PACKAGE)}"
