"""`vampbench run` and `vampbench demo`: the whole way in one command."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from calibration.feeds.source import Source, source_at
from optimize.recipes import ALL_RECIPES, RECIPES
from profiles.overview import recommendations
from profiles.targets.order import check_cores, parse_targets, profiled_words, profilers
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.ship.summary import COLUMNS, NOISY, NOISY_NOTE, missing_rows, summary_rows
from vampbench.work.cluster import on_cluster
from vampbench.work.job import Ahead, Job, run_job
from vampbench.work.sets import chains_of, counted
from vampnet_models.cache import Json
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_folder, find_models
from vampnet_models.onnxfile.outputs import check_apart
from vampnet_models.records.generic import RESULTS, as_json, versioned
from vampnet_models.records.results import Results
from vampnet_models.text import megabytes, percent

_CHOICE = "overview's choice for"
_ADVISED = ("cpu", "android")

_RECIPE_NAMES = tuple(r.name for r in RECIPES)
_OTHER_NAMES = tuple(r.name for r in ALL_RECIPES if r.name not in _RECIPE_NAMES)

_rounds = click.option(
    "--rounds",
    type=click.IntRange(3, options.MOST_ROUNDS),
    default=20,
    show_default=True,
    help="Timed runs each.",
)


@click.command()
@click.argument("models_dir", type=options.PATH)
@options.audio
@options.evaluation_audio
@options.targets(",".join(each.name for each in profilers()), profiled_words())
@click.option(
    "--recipes",
    default=",".join(_RECIPE_NAMES),
    show_default=True,
    metavar="NAMES",
    help=f"Comma-separated; also {', '.join(_OTHER_NAMES)}.",
)
@options.min_agreement
@options.feeds
@options.evaluation_feeds
@options.threads
@_rounds
@options.operators
@click.option(
    "--time-again",
    is_flag=True,
    help="Time once more what an earlier run timed, and keep the rest; not with --scheduler.",
)
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
    targets: str,
    recipes: str,
    min_agreement: float | None,
    feeds: Path | None,
    evaluation_feeds: Path | None,
    threads: int,
    rounds: int,
    operators: bool,
    time_again: bool,
    scheduler: str | None,
    out: Path,
    as_json: bool,
) -> int:
    """Make, verify and profile every variant of the models in MODELS_DIR.

    Any .onnx models are taken: the four VampNet roles are recognised by their interface, others
    are handled as generic. OUT receives results.json, report.html and the variants. An
    interrupted run goes on where it stopped.

    \b
    Example:
      vampbench run models --audio recordings --target cpu,mobile -o out
    """
    if time_again and scheduler is not None:
        raise InputError("--time-again: not with --scheduler; leave one of them out")
    paths = find_models(models_dir) if not models_dir.is_file() else [models_dir]
    check_apart(out, models_dir, audio, evaluation_audio)
    check_folder(out)
    chosen = parse_targets(targets)
    if scheduler is None:
        check_cores(chosen)
    job = Job(
        models=tuple(paths),
        out=out,
        command=command_line(),
        source=source_at(audio, evaluation_audio, feeds, evaluation_feeds),
        recipes=_recipes(recipes),
        targets=chosen,
        min_agreement=min_agreement,
        threads=threads,
        rounds=rounds,
        operators=operators,
        scheduler=scheduler or "",
        time_again=time_again,
    )
    return _finish(job, Console(as_json=as_json), on_cluster(scheduler) if scheduler else None)


@click.command()
@click.option(
    "-o",
    "--output",
    "out",
    type=options.PATH,
    default=Path("out/demo"),
    show_default=True,
    help="Where to write.",
)
@options.audio
@options.evaluation_audio
@_rounds
@options.operators
@options.as_json
def demo(
    out: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    rounds: int,
    operators: bool,
    as_json: bool,
) -> int:
    """Do the whole job on the built-in models and audio: nothing else is needed.

    \b
    Example:
      vampbench demo -o out/demo
    """
    check_apart(out, audio, evaluation_audio)
    check_folder(out)
    console = Console(as_json=as_json)
    with console.task("writing the built-in models") as update:
        update(0, 1)
        models = builtin_models(out)
        update(1, 1)
    job = Job(
        models=tuple(find_models(models)),
        out=out,
        command=command_line(),
        source=Source(audio, evaluation_audio),
        rounds=rounds,
        operators=operators,
    )
    return _finish(job, console)


def command_line() -> str:
    """The command that is running, as the user would type it."""
    return shlex.join(["vampbench", *sys.argv[1:]])


def _finish(job: Job, console: Console, ahead: Ahead | None = None) -> int:
    results, code = run_job(job, console, ahead)
    rows, missing, totals = summary_rows(results), missing_rows(results), _totals(results)
    if rows:
        console.table("Variants", COLUMNS, rows)
    if missing:
        console.table("Not as asked", ("model", "recipe or step", "status", "why"), missing)
    columns = ("", "size", "of FP32", "worst agreement", "10 s of music, CPU")
    console.table("Together", columns, totals)
    if any(cell.startswith(NOISY) for row in (*rows, *totals) for cell in row):
        console.say(NOISY_NOTE)
    for skipped in results.skipped:
        console.warn(f"skipped: {skipped.reason}")
    console.say(f"results  {job.out / 'results.json'}")
    console.say(f"report   {job.out / 'report.html'}")
    console.json(versioned(results, RESULTS))
    return code


def _totals(results: Results) -> list[tuple[str, ...]]:
    """Each recipe and set, and what `overview` advises: size, worst token agreement, CPU time."""
    values = as_json(results)
    before, models = results.source_bytes, counted(values["models"])
    advised = [each for each in recommendations(results) if each.target in _ADVISED]
    sets = [
        {
            "name": f"{_CHOICE} {each.target}",
            "parts": {m["role"]: each.parts[m["name"]] for m in models},
        }
        for each in advised
        if len(each.parts) == len(models)
    ]
    music = {
        c["name"]: f"{NOISY if c['noisy'] else ''}{c['s_per_10s_of_music']:.2f} s"
        for c in (*values["chains"], *chains_of(values["models"], sets))
        if c["target"] == "cpu"
    }
    rows: list[tuple[str, ...]] = [
        ("source (FP32)", megabytes(before), "100%", "-", music.get("source", "-"))
    ]
    named = [
        (name, size, dict.fromkeys((m["name"] for m in models), name))
        for name, size in results.totals.items()
    ]
    named += [
        (s["name"], s["bytes"], {m["name"]: s["parts"].get(m["role"]) for m in models})
        for s in values["sets"]
    ]
    named += [(f"{_CHOICE} {each.target}", each.bytes, each.parts) for each in advised]
    return rows + [
        (
            name,
            megabytes(size),
            f"{size / before:.0%}",
            percent(_worst(models, parts)),
            music.get(name, "-"),
        )
        for name, size, parts in named
    ]


def _worst(models: list[Json], parts: dict[str, str]) -> float | None:
    """The least token agreement of a set; None where none of its models has tokens."""
    shares = [
        (v["accuracy"] or {}).get("token_agreement")
        for m in models
        for v in m["variants"]
        if v["recipe"] == parts.get(m["name"])
    ]
    return min((share for share in shares if share is not None), default=None)


def _recipes(text: str) -> tuple[str, ...]:
    """A comma-separated choice, in the recipes' order. Raises InputError that lists them."""
    wanted = {name.strip() for name in text.split(",") if name.strip()}
    names = tuple(recipe.name for recipe in ALL_RECIPES)
    unknown = sorted(wanted - set(names))
    if unknown or not wanted:
        what = f"{', '.join(unknown)}: no such recipe" if unknown else "no recipe given"
        raise InputError(f"{what}; choose from {', '.join(names)}")
    return tuple(name for name in names if name in wanted)
