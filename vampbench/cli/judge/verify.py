"""`vampbench verify`: does a variant say the same tokens as its reference?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_inputs import (
    EVALUATION,
    check_feeds,
    given_feeds,
    prepare_inputs,
    side_feeds,
)
from calibration.feeds.lengths import check_fed, in_step
from optimize.truth.accuracy import Truth, compare, reference_truth
from optimize.truth.golden import load_golden, save_golden
from optimize.variant import read_record, record_path
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.runtime import tell
from vampbench.work.job import judge
from vampbench.work.runtime import Checked, check
from vampnet_models.chain.members import with_neighbours
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, check_output, open_artifact
from vampnet_models.onnxfile.portable import stand_in
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import TensorSpec
from vampnet_models.text import percent


@click.command()
@click.argument("reference", type=options.PATH)
@click.argument("variant", type=options.PATH)
@options.min_agreement
@options.audio
@options.feeds
@options.threads
@click.option(
    "--golden",
    type=options.PATH,
    help="Judge by the answers in this file in place of running REFERENCE.",
)
@click.option(
    "--write-golden",
    type=options.PATH,
    help="FILE.npz to record the inputs and REFERENCE's answers in.",
)
@options.as_json
def verify(
    reference: Path,
    variant: Path,
    audio: Path | None,
    feeds: Path | None,
    threads: int,
    min_agreement: float | None,
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
      vampbench verify models/coarse.onnx a.onnx --write-golden golden.npz
      vampbench verify models/coarse.onnx b.onnx --golden golden.npz
    """
    console = Console(as_json=as_json)
    check_feeds(feeds)
    if write_golden is not None:
        check_output(write_golden, reference, variant)
    ours, theirs = open_artifact(reference), open_artifact(variant)
    instead = {"reference": stand_in(reference), "variant": stand_in(variant)}
    check_same_interface(ours, theirs)
    if golden is not None and (audio is not None or feeds is not None):
        raise InputError(f"{golden}: holds its own inputs; leave out --audio and --feeds")
    if _calibrated(variant, ours, feeds):
        console.warn(f"{feeds}: calibrated {variant.name} too; feeds of their own judge it better")
    if golden is not None:
        truth = load_golden(golden, ours)
        check_fed(golden, truth.feeds, theirs)
    else:
        truth = _truth(ours, in_step(ours, [theirs], console), audio, feeds, threads, console)
    if write_golden is not None:
        save_golden(truth, write_golden)
        console.say(f"golden           {write_golden}")
    with console.task("variant tokens") as update:
        report = compare(truth, theirs, update)
    found = report.as_json()
    status, reason = judge(found, min_agreement)
    runtime = _runtime(theirs, truth.feeds[0], console)
    if runtime is not None and runtime.missed is not None:
        status = "failed" if status == "failed" else "missed"
        reason = "; ".join(filter(None, (reason, runtime.missed)))
    show(report, console)
    if runtime is not None:
        tell(runtime.facts, runtime.record, console)
    for role, path in instead.items():
        if path is not None:
            console.say(f"judged           {path}, the portable model, as the {role}")
    console.say(f"status           {status}{f': {reason}' if reason else ''}")
    facts = None if runtime is None else asdict(runtime.facts)
    console.json(
        {
            "status": status,
            "reason": reason,
            "opened_instead": {k: None if v is None else str(v) for k, v in instead.items()},
            "accuracy": found,
            "runtime": facts,
        }
    )
    return 0 if status == "ok" else 1


def _truth(
    ours: Artifact,
    fed: Artifact,
    audio: Path | None,
    feeds: Path | None,
    threads: int,
    console: Console,
) -> Truth:
    """The reference's answers to evaluation feeds of the audio, of the sizes that `fed` takes."""
    beside = with_neighbours(ours, console)
    with scratch_folder() as folder:
        inputs = prepare_inputs(beside, load_audio(audio, console), folder, threads, console)
        evaluation = side_feeds(fed, inputs, EVALUATION, feeds, threads, console)
        with console.task("reference tokens") as update:
            steps = [label.step for label in evaluation.labels]
            return reference_truth(ours, evaluation.feeds, update, steps)


def _calibrated(variant: Path, reference: Artifact, feeds: Path | None) -> bool:
    """Whether a variant's record says that it was calibrated on just these feeds."""
    given = given_feeds(reference, feeds)
    try:
        known = read_record(record_path(variant)).calibration
    except InputError:
        return False
    return given is not None and known is not None and known.sha256 == given.sha256


def _runtime(variant: Artifact, feeds: Feeds, console: Console) -> Checked | None:
    """What the runtime makes of the variant; None with a warning where that cannot be read."""
    try:
        with contained(), console.task("reading the runtime's graph back"):
            return check(variant, feeds)
    except WorkbenchError as error:
        console.warn(f"the runtime was not checked: {error}")
        return None


def check_same_interface(reference: Artifact, variant: Artifact) -> None:
    """Raise InputError unless both take and give tensors of the same names and fixed sizes."""
    for ours, theirs in (
        (reference.spec.inputs, variant.spec.inputs),
        (reference.spec.outputs, variant.spec.outputs),
    ):
        wanted = {t.name: t for t in ours}
        found = {t.name: t for t in theirs}
        differing = [
            name
            for name in sorted(wanted.keys() | found.keys())
            if name not in wanted or name not in found or not _fits(wanted[name], found[name])
        ]
        if differing:
            pairs = (f"{n} {_shape(wanted.get(n))} and {_shape(found.get(n))}" for n in differing)
            raise InputError(
                f"{variant.path}: not a variant of {reference.path.name}: they differ in "
                f"{', '.join(pairs)}; name two files of the same model"
            )


def _shape(tensor: TensorSpec | None) -> str:
    """A tensor's shape for the user, `none` where a model has no such tensor."""
    return "none" if tensor is None else tensor.described.removeprefix(f"{tensor.dtype} ")


def _fits(wanted: TensorSpec, found: TensorSpec) -> bool:
    """The same form and rank, and no dimension that both fix at another size."""
    if wanted.form != found.form:
        return False
    if not wanted.ranked or not found.ranked:
        return True
    return len(wanted.shape) == len(found.shape) and not any(
        isinstance(a, int) and isinstance(b, int) and a != b
        for a, b in zip(wanted.shape, found.shape, strict=True)
    )


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
        console.say(f"  after steps    {steps}")
    if report.near_ties is not None:
        ties = report.near_ties
        console.say(
            f"near-ties        {percent(ties.share)} of positions (margin below {ties.epsilon:g}); "
            f"agreement without them {percent(ties.agreement_excluding)}"
        )
    if report.logits_kl is not None:
        console.say(
            f"logits           KL {report.logits_kl:.2e} nats, reference's choice among the "
            f"variant's top 5 at {percent(report.top5_containment)}"
        )
    if report.si_sdr_db is not None:
        console.say(
            f"audio            SI-SDR {report.si_sdr_db:.1f} dB (worst clip "
            f"{report.worst_si_sdr_db:.1f}, floor {report.floor_si_sdr_db:.1f}), SNR "
            f"{report.snr_db:.1f} dB, log-mel {report.log_mel_db:.3f} dB, "
            f"{report.clipped} more clipped samples"
        )
    elif report.snr_db is not None:
        console.say(f"SQNR             {report.snr_db:.1f} dB")
    for note in report.notes:
        console.say(f"note             {note}")
