"""`vampbench report`: the HTML report of a run, again."""

from __future__ import annotations

from pathlib import Path

import click

from profiles.report import write_report
from vampnet_models.errors import InputError
from workbench import options
from workbench.console import Voice


@click.command()
@click.argument("results", type=options.PATH)
@click.option("-o", "--output", "out", type=options.PATH, help="Default: report.html beside it.")
@options.as_json
def report(results: Path, out: Path | None, as_json: bool) -> None:
    """Write the offline HTML report of RESULTS, a results.json or the folder that holds it.

    \b
    Example:
      vampbench report out/demo -o report.html
    """
    voice = Voice(as_json=as_json)
    path = results / "results.json" if results.is_dir() else results
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the folder that `vampbench run` wrote")
    target = out if out is not None else path.with_name("report.html")
    write_report(path, target)
    voice.say(f"{target}")
    voice.json({"report": str(target)})
