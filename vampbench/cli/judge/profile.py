"""`vampbench profile`: how large, how fast, where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from calibration.feeds.source import source_at
from profiles.measure.compare import Comparison
from profiles.measure.stats import Ratio
from profiles.targets.order import profiled_words
from vampbench.api.profile import profile as measure
from vampbench.api.profile import read_profile
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.ship.summary import NOISY
from vampbench.cli.tables import NOTHING
from vampnet_models.onnxfile.artifact import check_output
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import PROFILE, versioned
from vampnet_models.records.profiles import Estimate, Failure, Measurement, NotMeasured, Profile
from vampnet_models.text import megabytes, milliseconds, pace_text

_MAX_OPERATORS = 10


@click.command()
@click.argument("models", nargs=-1, required=True, type=options.PATH)
@options.targets("cpu", profiled_words())
@options.rounds(20)
@options.audio
@options.feeds
@click.option(
    "--evaluation-feeds",
    cls=options.Once,
    type=options.PATH,
    help="Time on the first of these inputs, not on the first of the second half of --feeds.",
)
@options.sample_rate
@click.option(
    "-o", "--output", "out", cls=options.Once, type=options.PATH, help="Write the JSON here too."
)
@click.option(
    "--compare",
    "old",
    cls=options.Once,
    type=options.PATH,
    help="An earlier JSON of this command: faster, slower or no difference?",
)
@options.operators
@click.option("--other-machine", is_flag=True, help="Let --compare take another machine's JSON.")
@options.as_json
def profile(
    models: tuple[Path, ...],
    targets: str,
    rounds: int,
    audio: Path | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    out: Path | None,
    old: Path | None,
    operators: bool,
    other_machine: bool,
    as_json: bool,
) -> int:
    """Profile MODELS, the first being the reference of the ratios.

    All take the same inputs: variants of one model, timed at the length of one that takes no
    other. CPU and CUDA are measured in fresh,
    interleaved processes; mobile is an estimate and labelled so.

    \b
    Examples:
      vampbench profile coarse.onnx coarse.int8.onnx --target cpu -o today.json
      vampbench profile coarse.onnx coarse.int8.onnx --compare today.json
    """
    console = Console(as_json=as_json)
    if out is not None:
        check_output(out, *models)
    before = None if old is None else read_profile(old)
    profiled = measure(
        models,
        data=source_at(audio, None, feeds, evaluation_feeds, sample_rate_hz),
        targets=targets,
        rounds=rounds,
        operators=operators,
        progress=console,
    )
    found = profiled.records
    for target in profiled.targets:
        _tell_target(target.label, {name: found[name][target.name] for name in found}, console)
    everything = [(name, record) for name in found for record in found[name].values()]
    for name, record in everything:
        if isinstance(record, Measurement):
            _tell_operators(name, record, console)
    for name, record in everything:
        for warning in record.warnings if isinstance(record, Measurement) else ():
            console.warn(f"{name}: {warning}")
        for note in () if isinstance(record, Failure) else record.notes:
            console.say(f"note  {name}: {note}")
    result = profiled.file
    if before is not None:
        changes = profiled.against(before, other_machine=other_machine)
        _tell_changes(changes, console)
        result = replace(result, compared=tuple(each.as_json() for each in changes))
    if out is not None:
        write_record(result, PROFILE, out)
    console.json(versioned(result, PROFILE))
    return 1 if profiled.failed else 0


def _tell_changes(found: Sequence[Comparison], console: Console) -> None:
    """What became faster or slower."""
    rows = [
        (
            each.recipe,
            each.target,
            str(each.shift.verdict),
            _ratio(each.shift.ratio),
            _ratio(each.shift.machine),
            _ratio(each.shift.levelled),
        )
        for each in found
    ]
    columns = ("model", "target", "now is", "x then", "machine", "x then without it")
    console.table("Against the earlier profile", columns, rows)
    for each in found:
        for warning in each.warnings:
            console.warn(f"{each.recipe}, {each.target}: {warning}")


def _ratio(ratio: Ratio | None) -> str:
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "-"


def _tell_operators(name: str, record: Measurement, console: Console) -> None:
    """Where the time goes, the longest first, and how far that is from the machine's peaks."""
    times, peaks, roof = record.operator_times, record.peaks, record.roofline
    if times is None or peaks is None or roof is None:
        return
    rows = [
        (
            each.name,
            str(each.calls),
            f"{each.seconds * 1e3:.2f} ms",
            f"{each.share:.1%}",
            f"{each.flops_per_s / 1e9:.1f}" if each.flops else "-",
        )
        for each in times.by_operator[:_MAX_OPERATORS]
    ]
    columns = ("operator", "calls", "time", "of kernels", "GFLOP/s")
    console.table(f"{name}: {record.target}", columns, rows)
    console.say(
        f"  peaks  {peaks.fp32_flops_per_s / 1e9:.0f} GFLOP/s in FP32, "
        f"{peaks.int8_ops_per_s / 1e9:.0f} GOP/s in INT8, "
        f"{peaks.copy_bytes_per_s / 1e9:.1f} GB/s copied, "
        f"measured with {peaks.threads} threads; "
        f"bound {roof.floor_s * 1e3:.2f} ms, {roof.efficiency:.0%} of it reached"
    )
    for warning in roof.warnings:
        console.warn(f"{name}: {warning}")


def _tell_target(label: str, records: Mapping[str, Profile], console: Console) -> None:
    """Times in a table, with a line for each of what else was seen; what has none in another."""
    timed = {name: r for name, r in records.items() if isinstance(r, Measurement)}
    if timed:
        rows = [(name, *_times(record)) for name, record in timed.items()]
        console.table(label, ("model", "median", "p10 to p90", "x reference"), rows)
        for name, record in timed.items():
            console.say(f"  {name}  {_seen(record)}")
        console.say("")
    others = [(name, *_untimed(r)) for name, r in records.items() if not isinstance(r, Measurement)]
    if others:
        console.table(label, ("model", "kind", "note"), others)


def _times(record: Measurement) -> tuple[str, str, str]:
    span = NOTHING
    if record.p10_s is not None and record.p90_s is not None:
        span = f"{milliseconds(record.p10_s)} to {milliseconds(record.p90_s)}"
    against = NOTHING
    if record.ratio_to_reference is not None and record.ratio_interval is not None:
        low, high = record.ratio_interval
        against = f"{record.ratio_to_reference:.2f} ({low:.2f} to {high:.2f})"
    noisy = NOISY if record.noisy else ""
    return (f"{noisy}{milliseconds(record.median_s)}", span, against)


def _seen(record: Measurement) -> str:
    said = []
    if record.peak_rss_bytes is not None:
        rss = f"peak RSS {megabytes(record.peak_rss_bytes)}"
        loaded, before = record.rss_after_load_bytes, record.base_rss_bytes
        if loaded is not None and before is not None:
            held = megabytes(max(0, loaded - before))
            rss += f", {held} of it for {megabytes(record.bytes or 0)} of model after load"
        said.append(rss)
    if record.session_s is not None:
        opened = f"opens in {record.session_s * 1e3:.0f} ms"
        if record.session_cold_s is not None:
            opened += f", {record.session_cold_s * 1e3:.0f} ms cold"
        said.append(opened)
    return "; ".join([*_pace(record), *said, *["noisy"] * record.noisy])


def _untimed(record: Estimate | NotMeasured | Failure) -> tuple[str, str]:
    if isinstance(record, Estimate):
        low, high = record.low_s, record.high_s
        if low is None or high is None:
            return (record.kind, "no device is listed")
        span = f"about {low * 1e3:.3g} to {high * 1e3:.3g} ms over phones"
        return (record.kind, f"{span}, {megabytes(record.bytes or 0)}")
    reason = record.reason or "no reason given"
    if isinstance(record, Failure) or not record.estimates:
        return (record.kind, reason)
    guesses = "; ".join(
        f"{e.device} about {e.low_s * 1e3:.2g} to {e.high_s * 1e3:.2g} ms" for e in record.estimates
    )
    return (record.kind, f"{reason}; estimate, not measured: {guesses}")


def _pace(record: Measurement) -> list[str]:
    """What the time means to a musician, where the model's role says."""
    if record.real_time_factor and record.audio_s is not None:
        return [f"for {record.audio_s:.1f} s of sound", pace_text(record.real_time_factor)]
    return ["per sampling step"] if record.ms_per_step is not None else []
