"""`vampbench verify`: does a variant say the same tokens as its reference?"""

from __future__ import annotations

from pathlib import Path

import click

from calibration.feeds.source import Source, source_at
from vampbench.api.verify import verify as judge
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.judge.costs import cost_lines
from vampbench.cli.runtime import tell
from vampnet_models.records.accuracy import AccuracyReport, Figure, OutputShare
from vampnet_models.text import percent


@click.command()
@click.argument("reference", type=options.PATH)
@click.argument("variant", type=options.PATH)
@options.min_agreement
@options.min_sampled
@options.max_cost
@options.max_cost_db
@options.audio
@options.evaluation_audio
@options.feeds
@options.evaluation_feeds
@options.sample_rate
@options.threads
@click.option(
    "--golden",
    cls=options.Once,
    type=options.PATH,
    help="Judge by the answers in this file in place of running REFERENCE.",
)
@click.option(
    "--write-golden",
    cls=options.Once,
    type=options.PATH,
    help="FILE.npz to record the inputs and REFERENCE's answers in.",
)
@options.as_json
def verify(
    reference: Path,
    variant: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    threads: int,
    min_agreement: float | None,
    min_sampled: float | None,
    max_cost: float | None,
    max_cost_db: float | None,
    golden: Path | None,
    write_golden: Path | None,
    as_json: bool,
) -> int:
    """Compare VARIANT with REFERENCE on audio that nothing was calibrated on.

    The models beside REFERENCE provide its chain (a coarse model needs its encoder's codes). A
    VARIANT of one length (`make-static`) is compared at that length.
    What the runtime makes of VARIANT is read back, and noted in its variant.json where it has one.

    \b
    Examples:
      vampbench verify models/coarse.onnx coarse.int8.onnx --min-agreement 0.99
      vampbench verify models/coarse.onnx coarse.int8.onnx --feeds f.npz
      vampbench verify models/coarse.onnx a.onnx --write-golden golden.npz
      vampbench verify models/coarse.onnx b.onnx --golden golden.npz
    """
    console = Console(as_json=as_json)
    data = source_at(audio, evaluation_audio, feeds, evaluation_feeds, sample_rate_hz)
    found = judge(
        reference,
        variant,
        None if data == Source() else data,
        min_agreement=min_agreement,
        min_sampled=min_sampled,
        max_cost=max_cost,
        max_cost_db=max_cost_db,
        golden=golden,
        write_golden=write_golden,
        threads=threads,
        progress=console,
    )
    if write_golden is not None:
        console.say(f"golden           {write_golden}")
    show(found.accuracy, console)
    if found.runtime is not None:
        tell(found.runtime, found.record, console)
    for role, path in found.opened_instead.items():
        console.say(f"judged           {path}, the portable model, as the {role}")
    reason = f": {found.reason}" if found.reason else ""
    console.say(f"status           {found.status}{reason}")
    if not found.ok:
        console.error(f"{variant}: {found.status}{reason}")
    console.json(found.as_json())
    return 0 if found.ok else 1


def show(report: AccuracyReport, console: Console) -> None:
    """Print an accuracy report."""
    console.say(
        f"finite           {report.nonfinite or 'no'} NaN or infinite values in the outputs"
    )
    if report.token_agreement is not None:
        low, high = report.interval or (None, None)
        console.say(
            f"token agreement  {percent(report.token_agreement)} "
            f"(95 % interval {percent(low)} to {percent(high)}, "
            f"{report.n_positions:,} positions"
            f"{', mean over mask ratios' if report.per_mask_ratio else ''})"
        )
        console.say(f"floor            {percent(report.floor)} (FP32 against FP32)")
    for row in report.per_codebook:
        given = row.given_earlier
        after = "" if given is None else f"; {percent(given):>9} where all earlier agree"
        console.say(f"  codebook {row.codebook:<2}    {percent(row.agreement):>9}{after}")
    for ratio in report.per_mask_ratio:
        masked = f"masked {ratio.mask_ratio - 0.1:.1f}-{ratio.mask_ratio:.1f}"
        positions = f"{ratio.n_positions:>7,} positions"
        console.say(f"  {masked} {percent(ratio.agreement):>9}; {positions}")
    if report.per_step:
        steps = ", ".join(f"{each.step}: {percent(each.agreement)}" for each in report.per_step)
        console.say(f"  at sampler's step {steps}")
    if report.near_ties is not None:
        ties = report.near_ties
        console.say(
            f"near-ties        {percent(ties.share)} of positions (margin below {ties.epsilon:g}); "
            f"agreement without them {percent(ties.agreement_excluding)}"
        )
    if report.sampled_agreement is not None:
        _show_sampled(report.sampled_agreement, console)
    for line in cost_lines(report):
        console.say(line)
    if report.logits_kl is not None:
        console.say(
            f"logits           KL {report.logits_kl:.2e} nats, reference's choice among the "
            f"variant's top 5 at {percent(report.top5_containment)}"
        )
    if report.si_sdr_db is not None:
        mel = "" if report.log_mel_db is None else f"log-mel {report.log_mel_db:.3f} dB, "
        console.say(
            f"audio            SI-SDR {report.si_sdr_db:.1f} dB (worst clip "
            f"{report.worst_si_sdr_db:.1f}, floor {report.floor_si_sdr_db:.1f}), SNR "
            f"{report.snr_db:.1f} dB, {mel}{report.clipped} more clipped samples"
        )
    elif report.snr_db is not None:
        of = " in the worst output" if len(report.per_output) > 1 else ""
        console.say(f"SQNR             {report.snr_db:.1f} dB{of}")
    for output in report.per_output if len(report.per_output) > 1 else ():
        console.say(f"  {output.name:<14} {_judged(output)}")
    for note in report.notes:
        console.say(f"note             {note}")


def _show_sampled(found: Figure, console: Console) -> None:
    """How often both draw the same token, the worst recording, and whether that tells enough."""
    if found.value is None:
        return
    interval = f"95 % interval {percent(found.low)} to {percent(found.high)}, "
    console.say(
        f"sampled          {percent(found.value)} ({interval if found.n_clips > 1 else ''}"
        f"floor {percent(found.floor)}, {found.n:,} positions)"
    )
    worst, share = min(found.per_recording.items(), key=lambda each: each[1])
    console.say(f"  worst recording  {worst}: {percent(share)}")
    if found.cannot_tell is not None:
        console.say(f"  {found.cannot_tell}")


def _judged(output: OutputShare) -> str:
    """Agreement where the output chooses, SQNR where it is float, and its worst sample."""
    told = []
    if output.agreement is not None:
        told.append(f"{percent(output.agreement)} of {output.n_positions:,} positions")
    if output.snr_db is not None:
        told.append(f"SQNR {output.snr_db:.1f} dB (floor {output.floor_snr_db:.1f})")
    if output.worst_snr_db is not None:
        told.append(f"worst sample {output.worst_sample}: {output.worst_snr_db:.1f} dB")
    return ", ".join(told)
