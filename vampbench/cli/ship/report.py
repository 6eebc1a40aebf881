"""`vampbench report`: the HTML report of a run, again, or of what changed between two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from profiles.report.comparison import change_texts, headline, write_comparison
from profiles.report.render import render_report
from profiles.report.views.read import load_results, results_path
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_output, write_text
from vampnet_models.records.results import Results


@click.command()
@click.argument("results", type=options.PATH, required=False)
@click.option("-o", "--output", "out", type=options.PATH, help="Default: report.html beside it.")
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
        then, now = map(results_path, pair)
        _compare(then, now, out, other_machine, console)
        return
    assert results is not None
    path = results_path(results)
    target = out if out is not None else path.with_name("report.html")
    check_output(target, path)
    content = load_results(path)
    if tuned is not None:
        content = _with_blocks(content, path, results_path(tuned))
    write_text(target, render_report(content, path.parent))
    console.say(f"{target}")
    console.json({"report": str(target)})


def _compare(
    then: Path, now: Path, out: Path | None, other_machine: bool, console: Console
) -> None:
    target = out if out is not None else now.with_name("comparison.html")
    check_output(target, then, now)
    changes = write_comparison(then, now, target, other_machine=other_machine)
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


def _with_blocks(run: Results, path: Path, tuned: Path) -> Results:
    """A run's results with what `tune` found out per block, by the hash of the source.

    Raises InputError when the two have no model in common.
    """
    blocks = {m.source_sha256: m.blocks for m in load_results(tuned).models}
    models = tuple(replace(m, blocks=blocks.get(m.source_sha256, ())) for m in run.models)
    if not any(m.blocks for m in models):
        raise InputError(f"{tuned}: tuned none of the models of {path}; give what `tune` wrote")
    return replace(run, models=models)
