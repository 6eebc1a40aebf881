"""`vampbench run` and `vampbench demo`: the whole way in one command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from calibration.feeds.source import Source, source_at
from optimize.recipes import EVERY_RECIPE
from profiles.count.held import held_together
from profiles.sets import counted
from profiles.targets.order import parse_targets, profiled_words, targets_at
from vampbench.api.ship import run as running
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.ship.answer import tell_answer, tell_songs
from vampbench.cli.ship.summary import (
    NOISY,
    NOISY_NOTE,
    columns_of,
    missing_rows,
    of_bytes,
    summary_rows,
)
from vampbench.cli.tables import NOTHING, filled
from vampnet_models.records.generic import RESULTS, versioned
from vampnet_models.records.results import GradeName, Model, Results
from vampnet_models.text import megabytes

_DEMO_ROUNDS = 12
"""Fewer than `run`: a first look is not to wait for narrow intervals."""

_OTHER_NAMES = tuple(r.name for r in EVERY_RECIPE if r.name not in running.MAIN_RECIPES)

_time_again = click.option(
    "--time-again",
    is_flag=True,
    help="Time once more what an earlier run timed, and keep the rest; not with --scheduler.",
)


@click.command()
@click.argument("models_dir", type=options.PATH)
@options.audio
@options.evaluation_audio
@options.clip_s
@options.targets(running.ALL_TARGETS, profiled_words())
@click.option(
    "--recipes",
    default=",".join(running.MAIN_RECIPES),
    show_default=True,
    metavar="NAMES",
    help=f"Comma-separated; also {', '.join(_OTHER_NAMES)}.",
)
@options.decided_by
@options.feeds
@options.evaluation_feeds
@options.sample_rate
@options.threads
@options.rounds(20)
@options.operators
@click.option(
    "--tune",
    is_flag=True,
    help="Also search a mixture of precisions for each model within the grade or bounds: `tuned`, "
    "no slower than FP32 on this CPU, and `tuned-small`. Takes as long as `vampbench tune`.",
)
@click.option(
    "--song",
    is_flag=True,
    help="Also let transformers and decided sets play 24 pieces with FP32's seeds: is it the same "
    "song, and if not, a worse one? Takes minutes.",
)
@_time_again
@click.option(
    "--scheduler",
    metavar="dask://HOST:PORT",
    help="Convert, verify and profile on this Dask cluster (extra dask; a shared file system).",
)
@options.output
@options.as_json
def run(
    models_dir: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    clip_s: float | None,
    targets: str,
    recipes: str,
    grade: GradeName | None,
    min_agreement: float | None,
    min_sampled: float | None,
    max_cost: float | None,
    max_cost_db: float | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    sample_rate_hz: int | None,
    threads: int,
    rounds: int,
    operators: bool,
    tune: bool,
    song: bool,
    time_again: bool,
    scheduler: str | None,
    out: Path,
    as_json: bool,
) -> int:
    """Make, verify and profile every variant of the models in MODELS_DIR.

    Any .onnx models are taken: a codec's encoder and decoder and the transformers on its codes are
    recognised, others are handled as generic. OUT receives results.json, report.html and the
    variants. An interrupted run goes on where it stopped.

    \b
    Example:
      vampbench run models --audio recordings --target cpu,mobile -o out
      vampbench run models --audio recordings --target mobile --clip-s 2 --song -o out
    """
    console = Console(as_json=as_json)
    found = running.run(
        models_dir,
        out,
        data=source_at(audio, evaluation_audio, feeds, evaluation_feeds, sample_rate_hz, clip_s),
        recipes=recipes,
        targets=targets,
        grade=grade,
        min_agreement=min_agreement,
        min_sampled=min_sampled,
        max_cost=max_cost,
        max_cost_db=max_cost_db,
        threads=threads,
        rounds=rounds,
        operators=operators,
        tune=tune,
        song=song,
        time_again=time_again,
        scheduler=scheduler,
        command=command_line(),
        progress=console,
    )
    return _tell(found, console, targets)


@click.command()
@click.option(
    "-o",
    "--output",
    "out",
    cls=options.Once,
    type=options.PATH,
    default=Path("out/demo"),
    show_default=True,
    help="Where to write.",
)
@options.audio
@options.evaluation_audio
@options.rounds(_DEMO_ROUNDS)
@options.operators
@_time_again
@options.as_json
def demo(
    out: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    rounds: int,
    operators: bool,
    time_again: bool,
    as_json: bool,
) -> int:
    """Do the whole job on the built-in models and audio: nothing else is needed.

    It takes about five minutes on two idle cores.

    \b
    Examples:
      vampbench demo -o out/demo
      vampbench demo -o out/demo --time-again
    """
    console = Console(as_json=as_json)
    found = running.run(
        None,
        out,
        data=Source(audio, evaluation_audio),
        rounds=rounds,
        operators=operators,
        time_again=time_again,
        command=command_line(),
        progress=console,
    )
    return _tell(found, console, running.ALL_TARGETS)


def command_line() -> str:
    """The command that is running, as the user would type it."""
    return shlex.join(["vampbench", *sys.argv[1:]])


def _tell(found: running.RunResult, console: Console, targets: str) -> int:
    results = found.results
    rows, missing, totals = summary_rows(results), missing_rows(results), _totals(results)
    if rows:
        console.table("Variants", columns_of(results), rows)
    if missing:
        console.table("Not as asked", ("model", "recipe or step", "status", "why"), missing)
    for model, what, status, why in missing:
        if status in ("missed", "failed"):
            console.error(f"{model}: {what}: {status}: {why}")
    columns = ("", "size", "of FP32", "grade", "10 s of music, CPU")
    console.table("Together", *filled(columns, totals))
    if any(cell.startswith(NOISY) for row in (*rows, *totals) for cell in row):
        console.say(NOISY_NOTE)
    for skipped in results.skipped:
        console.warn(f"skipped: {skipped.reason}")
    console.say(f"results  {found.results_path}")
    console.say(f"report   {found.report_path}")
    if results.decision:
        asked = targets_at(parse_targets(targets))
        decision = {name: each for name, each in results.decision.items() if name in asked}
        others = [name for name in results.decision if name not in asked]
        tell_songs(console, decision)
        if decision:
            tell_answer(console, results.models, decision)
        also = f", and what to ship on {', '.join(others)}" if others else ""
        console.say(f"why{also}: vampbench overview {shlex.quote(str(found.output))}")
    console.json(versioned(results, RESULTS))
    return 0 if found.ok else 1


def _totals(results: Results) -> list[tuple[str, ...]]:
    """Each recipe and set: size, grade, CPU time."""
    before, models = results.source_bytes, counted(results.models)
    music = {
        c.name: f"{NOISY if c.noisy else ''}{c.s_per_10s_of_music:.2f} s"
        for c in results.chains
        if c.target == "cpu"
    }
    rows: list[tuple[str, ...]] = [
        ("source (FP32)", megabytes(before), "100%", "-", music.get("source", "-"))
    ]
    named: list[tuple[str, int, dict[str, str]]] = [
        (name, size, dict.fromkeys((m.name for m in models), name))
        for name, size in results.totals.items()
    ]
    named += [
        (s.name, s.bytes or 0, {m.name: s.parts[m.role] for m in models if m.role in s.parts})
        for s in results.sets
    ]
    return rows + [
        (
            name,
            megabytes(size),
            of_bytes(size, sum(m.source_bytes or 0 for m in models if m.name in parts)),
            _held(models, parts),
            music.get(name, "-"),
        )
        for name, size, parts in named
    ]


def _held(models: Sequence[Model], parts: Mapping[str, str]) -> str:
    """The grade of a set, or which of its models are not shown to hold one."""
    served = [(m, v) for m in models for v in m.variants if v.recipe == parts.get(m.name)]
    held = held_together(served)
    return NOTHING if held is None else held.told
