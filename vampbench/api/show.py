"""Results as a notebook shows them: the report's own tables and charts, with its style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from profiles.report.cautions import left_in_float
from profiles.report.charts import figures
from profiles.report.charts.marks import marks_for
from profiles.report.page import render_part
from profiles.report.tables.details import detail_table
from profiles.report.tables.runtime import runtime_table
from profiles.report.tables.table import Table
from profiles.report.tables.variants import variant_table
from vampnet_models.records.results import Model, Results

_NOTHING = ("none", "not recorded")
"""What a cell of words says where there is nothing to tell."""


def html_of(
    model: Model,
    title: str,
    lines: Sequence[str],
    warnings: Sequence[str],
) -> str:
    """What a record of a model and its variants tells, as HTML that needs nothing else.

    Columns of which nothing is known are left out.
    """
    run = Results(models=(model,))
    marks = marks_for(v.recipe for v in model.variants)
    latency = figures.latencies(model, marks)
    tables = (
        ("Size, accuracy and time", _filled(variant_table(model, marks)), "Variant"),
        ("More figures", _filled(detail_table(model, marks)), "Variant"),
        ("The runtime's own graph", _filled(runtime_table(run, marks)), "Variant"),
    )
    return render_part(
        "shown.html.jinja",
        title=title,
        lines=lines,
        tables=[each for each in tables if each[1].columns],
        figures=(*figures.agreements(model, marks), *([] if latency is None else [latency])),
        marks=[marks[v.recipe] for v in model.variants],
        left_in_float=left_in_float(run),
        warnings=warnings,
    )


def text_of(title: str, lines: Sequence[str], warnings: Sequence[str]) -> str:
    """Lines below a title, and warnings, where there is no table to show."""
    return render_part(
        "shown.html.jinja",
        title=title,
        lines=lines,
        tables=(),
        figures=(),
        left_in_float=(),
        warnings=warnings,
    )


def _filled(table: Table) -> Table:
    """The table with the columns alone of which a variant has something."""
    kept = [
        i
        for i in range(len(table.columns))
        if any(
            row.cells and row.cells[i].kind != "absent" and row.cells[i].text not in _NOTHING
            for row in table.rows
            if row.status != "source"
        )
    ]
    return Table(
        tuple(table.columns[i] for i in kept),
        tuple(
            replace(row, cells=tuple(row.cells[i] for i in kept if row.cells)) for row in table.rows
        ),
    )
