"""`vampbench overview`: the table that one shows around, and what to ship where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from profiles.overview import RULE, Recommendation, lengths_text
from profiles.report.views.read import not_ended
from vampbench.api.ship import reports
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.ship.summary import agreement_told, missing_rows, of_source, variants_told
from vampbench.cli.tables import filled
from vampnet_models.records.results import Lengths, Model
from vampnet_models.text import megabytes

_DECLARED = "declared"
"""A generic model's lengths say nothing that `inspect` does not."""


@click.command()
@click.argument("run_dir", type=options.PATH)
@options.as_json
def overview(run_dir: Path, as_json: bool) -> None:
    """Summarise a finished run: size, tokens, lengths, storage by use, what to ship where.

    RUN_DIR is what `vampbench run`, `demo` or `tune` wrote. Its results.json alone is read: no
    model is opened.

    \b
    Example:
      vampbench overview out/demo
    """
    console = Console(as_json=as_json)
    found = reports.overview(run_dir)
    results, lengths, advice = found.results, found.lengths, found.recommendations
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
    names = list(dict.fromkeys(name for a in advice for name in a.parts))
    chosen = [
        (a.target, *(a.parts.get(name, "-") for name in names), megabytes(a.bytes)) for a in advice
    ]
    console.table("What to ship", ("target", *names, "size"), chosen)
    longest = max((len(a.target) for a in advice), default=0)
    for a in advice:
        console.say(
            f"{a.target:<{longest}}  {'; '.join([a.why.text, *(c.text for c in a.caveats)])}"
        )
    if advice:
        console.say(f"{'rule':<{longest}}  {RULE}")
    refused = _refused_rows(models, advice)
    if refused:
        console.table("Refused", ("model", "recipe", "agreement", "why", "for"), refused)
    if found.issues:
        columns = ("issue of earlier exports", "before", "now")
        console.table("History", columns, [(i.name, i.before, i.now) for i in found.issues])
    console.json(found.as_json())


def _refused_rows(
    models: Sequence[Model], advice: Sequence[Recommendation]
) -> list[tuple[str, ...]]:
    """A row for each variant that loses too many tokens, with the targets that miss it so."""
    targets: dict[tuple[str, str, str], list[str]] = {}
    for each in advice:
        for refusal in each.refused:
            key = (refusal.model, refusal.recipe, refusal.text)
            targets.setdefault(key, []).append(each.target)
    told = {(m.name, v.recipe): v.accuracy for m in models for v in m.variants}
    return [
        (model, recipe, agreement_told(told[model, recipe]), text, ", ".join(names))
        for (model, recipe, text), names in targets.items()
    ]


def _length_row(name: str, lengths: Lengths) -> tuple[str, str, str]:
    return (name, lengths_text(lengths), lengths.reason or "-")
