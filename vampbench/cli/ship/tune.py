"""`vampbench tune`: the best set of models within a budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from calibration.feeds.source import source_at
from profiles.report.views.read import read_results
from profiles.targets import order
from vampbench.api.ship import tune as tuning
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.judge.costs import cost_lines
from vampbench.cli.ship.answer import tell_answer
from vampbench.cli.ship.run import command_line
from vampbench.cli.tables import NOTHING, filled
from vampnet_models.records.accuracy import Figure, FreeRun, FreeRunning
from vampnet_models.records.generic import TUNING, versioned
from vampnet_models.records.results import Block, GradeName
from vampnet_models.records.tuning import CandidateSet, Near, Prefer, Tuning
from vampnet_models.text import megabytes, percent, signed

_COLUMNS = (
    "set",
    "size",
    "least agreement",
    "first four",
    "SI-SDR",
    "sampled, at least",
    "nats, at most",
    "dB log-mel, at most",
    "time, x FP32",
)

_NEAR: dict[Near, str] = {
    "keeps-tokens": "keeps the tokens, the smallest",
    "keeps-costs": "keeps the costs on the search's states, the smallest",
    "keeps-size": "keeps the size, the truest",
    "keeps-time": "keeps the time, the truest",
    "truest": "the truest of all",
}
"""How the sets that come near to a budget are called."""


@click.command()
@click.argument("models_dir", required=False, type=options.PATH)
@options.output
@options.audio
@options.evaluation_audio
@options.feeds
@options.evaluation_feeds
@options.sample_rate
@options.decided_by
@click.option(
    "--min-first-agreement",
    type=options.Finite(0, 1),
    help="Least agreement of the encoder's first four codebooks, which all else builds on.",
)
@click.option(
    "--min-si-sdr",
    "min_si_sdr_db",
    type=options.Finite(),
    help="Least SI-SDR of the decoder's sound against FP32, in dB; least SQNR of the outputs of "
    f"another model that are numbers ({tuning.MIN_SI_SDR_DB:g} beside bounds that are no costs).",
)
@click.option(
    "--max-bytes",
    callback=options.as_bytes,
    metavar="SIZE",
    help="Most bytes of the set, as 1.0GB or 850MB.",
)
@click.option(
    "--max-latency",
    type=options.Finite(0, min_open=True),
    help="Most time of all models together, as a multiple of FP32's (0.7).",
)
@click.option(
    "--prefer",
    type=click.Choice(["smallest", "fastest", "truest"]),
    help="What to seek within the bounds (smallest; truest where the size is bounded).",
)
@click.option(
    "--target",
    type=click.Choice([each.name for each in order.timed_targets()]),
    default="cpu",
    show_default=True,
    help="Where the set is to run. cpu-native also takes models that need the operator library; "
    "for cuda none quantizes activations.",
)
@options.rounds(tuning.ROUNDS)
@options.threads
@options.as_json
def tune(
    models_dir: Path | None,
    out: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    grade: GradeName | None,
    min_agreement: float | None,
    min_sampled: float | None,
    max_cost: float | None,
    max_cost_db: float | None,
    min_first_agreement: float | None,
    min_si_sdr_db: float | None,
    max_bytes: int | None,
    max_latency: float | None,
    prefer: Prefer | None,
    target: str,
    rounds: int,
    threads: int,
    as_json: bool,
) -> int:
    """Find a precision for each layer of each model: the best set within a budget.

    Each block alone in each precision, then mixtures of them and the uniform recipes are built,
    compared and timed on the calibration data; the set that is chosen is verified on data that
    nothing was chosen on, and replaced where it does not hold there. Without any bound the set must
    be `harmless`: what it costs is measured on the recordings themselves. OUT receives the models
    with their records, tune.json, results.json and report.html; `bundle OUT` packs them. Without
    MODELS_DIR the built-in models are tuned. An interrupted search goes on where it stopped.

    Exit code 1 when nothing meets the budget: the nearest sets are shown. So too where there are
    too few recordings to tell a cost: it says how many are needed.

    \b
    Example:
      vampbench tune models --audio recordings --grade harmless -o tuned
    """
    console = Console(as_json=as_json)
    found = tuning.tune(
        models_dir,
        out,
        data=source_at(audio, evaluation_audio, feeds, evaluation_feeds, sample_rate_hz),
        grade=grade,
        min_agreement=min_agreement,
        min_sampled=min_sampled,
        max_cost=max_cost,
        max_cost_db=max_cost_db,
        min_first_agreement=min_first_agreement,
        min_si_sdr_db=min_si_sdr_db,
        max_bytes=max_bytes,
        max_latency=max_latency,
        prefer=prefer,
        target=target,
        rounds=rounds,
        threads=threads,
        command=command_line(),
        progress=console,
    )
    _tell(found.tuning, console)
    console.say(f"tuned     {found.tuning_path}: the sets, and why each block got what it got")
    if found.ok:
        results = read_results(found.output)
        tell_answer(console, results.models, results.decision)
    console.json(versioned(found.tuning, TUNING))
    return 0 if found.ok else 1


def _tell(result: Tuning, console: Console) -> None:
    console.table(
        "Front (on the search's states)", *filled(_COLUMNS, [_row(s) for s in result.front])
    )
    named: list[tuple[str, CandidateSet]] = [
        ("smallest of all, on the search's states", result.smallest),
        ("fastest of all, on the search's states", result.fastest),
    ]
    if result.chosen is not None:
        uniform = result.uniform
        held_out: list[tuple[str, CandidateSet]] = [("chosen, on held-out data", result.chosen)]
        if uniform is not None:
            held_out.append((f"best uniform: {uniform.recipe}, held out", uniform))
        named = held_out + named
    else:
        console.warn("nothing meets the budget; the nearest:")
        named = [(_NEAR[each.keeps], each) for each in result.nearest] + named
    console.table("Sets", *filled(_COLUMNS, [_row(each, name) for name, each in named]))
    for model in result.models:
        rows = [
            (block.block, block.chosen, *_option(block))
            for block in model.blocks
            if len(block.options) > 1
        ]
        title = f"{model.name}: {model.recipe}"
        columns = ("block", "gets", "damage", "sampled", "cost", "time", "saves")
        console.table(title, *filled(columns, rows))
        for line in cost_lines(model.accuracy):
            console.say(f"  {line}")
        grades = ", ".join(model.grades) or "none is shown to hold"
        why = "" if model.judged is None else f"; {model.judged}"
        console.say(f"  grade         {grades}{why}")
        ties = model.accuracy.near_ties
        if ties is not None:
            console.say(
                f"  held out      {percent(model.accuracy.token_agreement)}; "
                f"{percent(ties.share)} near-ties, without them "
                f"{percent(ties.agreement_excluding)}"
            )
        if model.free_running is not None:
            console.say(f"  free-running  {_free_running(model.free_running)}")
    for dropped in result.reverted:
        console.say(f"reverted  {dropped.text}")
    console.say(f"verdict   {result.verdict.text}")
    if result.noisy:
        console.warn(
            "times are noisy: the machine was busy while candidates were timed; another search may "
            "find another set to be the fastest, or within --max-latency"
        )
    if result.seeded:
        console.warn("seeded weights: not an accuracy claim")


def _row(found: CandidateSet, name: str | None = None) -> tuple[str, ...]:
    parts = ", ".join(f"{part.model} {part.recipe}" for part in found.parts)
    sound = found.si_sdr_db
    return (
        name or parts,
        megabytes(found.bytes),
        percent(found.agreement),
        percent(found.first_agreement),
        NOTHING if sound is None else f"{sound:.1f} dB",
        _end(found.sampled_agreement, lambda each: percent(each.low)),
        _end(found.cost_nats, lambda each: signed(each.high)),
        _end(found.cost_log_mel_db, lambda each: signed(each.high)),
        f"{found.latency:.2f} x",
    )


def _end(found: Figure | None, told: Callable[[Figure], str]) -> str:
    """The end of an interval that judges; nothing where it is not known, or cannot tell."""
    if found is None or found.value is None:
        return NOTHING
    return told(found) if found.can_tell else "cannot tell"


def _free_running(runs: FreeRunning) -> str:
    def said(run: FreeRun) -> str:
        first = [step + 1 for step in run.first_divergence if step is not None]
        where = f"first apart after step {min(first)}" if first else "never apart"
        return f"{percent(run.kept)} token agreement, {where}"

    return f"{said(runs.variant)}; FP32 against itself: {said(runs.floor)}"


def _option(block: Block) -> tuple[str, ...]:
    """A uniform recipe is no option of a block: it was measured as a whole."""
    option = next((each for each in block.options if each.precision == block.chosen), None)
    if option is None:
        return (NOTHING,) * 5
    return (
        NOTHING if option.damage is None else f"{option.damage:.1e}",
        percent(option.sampled_agreement),
        NOTHING if option.cost is None else signed(option.cost),
        f"{option.time_ratio:.2f} x",
        megabytes(option.saved_bytes),
    )
