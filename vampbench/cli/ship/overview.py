"""`vampbench overview`: the table that one shows around, and what to ship where."""

from __future__ import annotations

from pathlib import Path

import click

from profiles.overview import lengths_text
from profiles.report.views.read import not_ended, undecided
from vampbench.api.ship import reports
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.ship.answer import tell_answer, tell_reasons, tell_songs
from vampbench.cli.ship.summary import agreement_told, missing_rows, of_source, variants_told
from vampbench.cli.tables import filled
from vampnet_models.records.results import GradeName, Lengths
from vampnet_models.text import megabytes

_DECLARED = "declared"
"""A generic model's lengths say nothing that `inspect` does not."""


@click.command()
@click.argument("run_dir", type=options.PATH)
@options.decided_by
@options.as_json
def overview(
    run_dir: Path,
    grade: GradeName | None,
    min_agreement: float | None,
    min_sampled: float | None,
    max_cost: float | None,
    max_cost_db: float | None,
    as_json: bool,
) -> None:
    """Summarise a finished run: size, tokens, lengths, storage by use, what to ship where.

    RUN_DIR is what `vampbench run`, `demo` or `tune` wrote. Its results.json alone is read: no
    model is opened. What to ship is what the run decided; with --grade or a bound it is decided
    anew, and kept nowhere.

    \b
    Example:
      vampbench overview out/demo
    """
    console = Console(as_json=as_json)
    found = reports.overview(
        run_dir,
        grade=grade,
        min_agreement=min_agreement,
        min_sampled=min_sampled,
        max_cost=max_cost,
        max_cost_db=max_cost_db,
    )
    results, lengths = found.results, found.lengths
    models = results.models
    if (stopped := not_ended(results)) is not None:
        console.warn(f"{run_dir}: {stopped}")
    rows = [
        (
            m.name,
            r,
            megabytes(v.bytes),
            of_source(m, v),
            agreement_told(v.accuracy),
        )
        for m in models
        for r, v in variants_told(m)
        if v.bytes is not None
    ]
    console.table("Models", ("model", "recipe", "size", "of FP32", "agreement"), rows)
    missing = missing_rows(results)
    if missing:
        console.table("Not as asked", ("model", "recipe or step", "status", "why"), missing)
    told = [_length_row(n, each) for n, each in lengths.items() if each.accepts != _DECLARED]
    if told:
        console.table("Lengths", *filled(("model", "takes", "why"), told))
    unknown = [name for name, each in lengths.items() if each.accepts is None]
    if unknown:
        again = results.tool.command or "vampbench run"
        console.say(f"unknown lengths: {', '.join(unknown)}; the run noted none")
        console.say(f"  start it again, what is made is kept: {again}")
    storage = [(use, recipe, megabytes(size)) for use, recipe, size in found.storage]
    console.table("Storage", ("use", "recipe", "size"), storage)
    if found.issues:
        columns = ("issue of earlier exports", "before", "now")
        console.table("History", columns, [(i.name, i.before, i.now) for i in found.issues])
    if found.decision:
        tell_reasons(console, found.decision)
        tell_songs(console, found.decision)
        tell_answer(console, models, found.decision)
    elif (why := undecided(results)) is not None:
        console.warn(f"{run_dir}: {why}")
    console.json(found.as_json())


def _length_row(name: str, lengths: Lengths) -> tuple[str, str, str]:
    return (name, lengths_text(lengths), lengths.reason or "-")
