"""`vampbench report`: the HTML report of a run, again, or of what changed between two."""

from __future__ import annotations

from pathlib import Path

import click

from profiles.report.comparison import change_texts, headline
from vampbench.api.ship.reports import compare_runs, write_report
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.errors import InputError


@click.command()
@click.argument("results", type=options.PATH, required=False)
@click.option(
    "-o",
    "--output",
    "out",
    cls=options.Once,
    type=options.PATH,
    help="Default: report.html beside it.",
)
@click.option(
    "--compare",
    "pair",
    type=(options.PATH, options.PATH),
    metavar="THEN NOW",
    help="Two runs instead of one: what changed (default: comparison.html beside NOW).",
)
@click.option("--other-machine", is_flag=True, help="Let --compare take another machine's times.")
@click.option(
    "--tuned",
    cls=options.Once,
    type=options.PATH,
    help="What `vampbench tune` wrote for the same models: adds what each block costs.",
)
@options.as_json
def report(
    results: Path | None,
    out: Path | None,
    pair: tuple[Path, Path] | None,
    other_machine: bool,
    tuned: Path | None,
    as_json: bool,
) -> None:
    """Write the offline HTML report of RESULTS, a results.json or the folder that holds it.

    \b
    Examples:
      vampbench report out/demo -o report.html
      vampbench report --compare out/before out/after
    """
    console = Console(as_json=as_json)
    if (results is None) == (pair is None):
        raise InputError("give either one run, or two after --compare")
    if pair is not None:
        _compare(*pair, out, other_machine, console)
        return
    assert results is not None
    target = write_report(results, out, tuned=tuned)
    console.say(f"{target}")
    console.json({"report": str(target)})


def _compare(
    then: Path, now: Path, out: Path | None, other_machine: bool, console: Console
) -> None:
    target, changes = compare_runs(then, now, out, other_machine=other_machine)
    rows = [change_texts(row) for row in changes.rows]
    console.table(
        headline(changes), ("model", "recipe", "size", "agreement", "time now / then"), rows
    )
    for notice in changes.notices:
        console.warn(notice)
    console.say(f"{target}")
    console.json(
        {
            "report": str(target),
            "headline": headline(changes),
            "notices": list(changes.notices),
            "rows": [row.as_json() for row in changes.rows],
        }
    )
