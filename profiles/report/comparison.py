"""Two results.json -> one HTML file that says what changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from profiles.measure.stats import Verdict
from profiles.report.charts.change import Moved, change_chart
from profiles.report.charts.figures import Figure
from profiles.report.charts.marks import Mark, marks_for
from profiles.report.page import render_page
from profiles.report.tables.cells import Cell, absent, fact, measured, words
from profiles.report.tables.machine import audio_rows, host_rows
from profiles.report.tables.table import Row, Table
from profiles.report.views.changes import Change, Changes, Timing, changes_of
from profiles.report.views.choices import recipes_of
from profiles.report.views.read import load_results
from profiles.report.views.units import (
    agreement_range,
    agreement_text,
    bytes_text,
    db_text,
    plural,
    ratio_text,
)
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.records.results import Results, Variant

_COLUMNS = ("Size then", "Size now", "Agreement then", "Agreement now", "Agreement")


def write_comparison(then: Path, now: Path, out: Path, *, other_machine: bool = False) -> Changes:
    """Compare two results.json and write the page; what it says.

    Raises InputError when one cannot be read, or when `out` cannot be written.
    """
    runs = [load_results(path) for path in (then, now)]
    changes = changes_of(*runs, other_machine=other_machine)
    write_text(out, render_comparison(changes))
    return changes


def render_comparison(changes: Changes) -> str:
    """The page."""
    marks = marks_for(dict.fromkeys((*recipes_of(changes.then), *recipes_of(changes.now))))
    names = dict.fromkeys(row.model for row in changes.rows)
    return render_page(
        "comparison.html.jinja",
        headline=headline(changes),
        notices=changes.notices,
        models=[_model_view(n, [r for r in changes.rows if r.model == n], marks) for n in names],
        sides=[_side("Then", changes.then), _side("Now", changes.now)],
    )


def headline(changes: Changes) -> str:
    """What changed, in a sentence."""
    said: Counter[str] = Counter()
    for row in changes.rows:
        if row.then is None or row.now is None:
            said["new" if row.then is None else "gone"] += 1
            continue
        if row.size_ratio not in (None, 1.0):
            said["smaller" if (row.size_ratio or 0) < 1 else "larger"] += 1
        if row.kept in ("more", "less"):
            said["truer" if row.kept == "more" else "less true"] += 1
        for timing in row.timings:
            if timing.shift and timing.shift.verdict is not Verdict.NO_DIFFERENCE:
                said[f"{timing.shift.verdict} on {timing.target}"] += 1
    if not said:
        return f"No difference in {plural(len(changes.rows), 'variant')}"
    parts = [f"{n} {what}" for what, n in said.items()]
    return f"Of {plural(len(changes.rows), 'variant')}: {', '.join(parts)}"


def change_texts(row: Change) -> tuple[str, ...]:
    """A change as the terminal shows it: sizes, what is kept, times."""
    sizes = " to ".join(
        "-" if v is None or v.bytes is None else bytes_text(v.bytes) for v in (row.then, row.now)
    )
    kept = " to ".join(_kept(v).text for v in (row.then, row.now))
    times = [f"{t.target}: {_timing(t).text} {' '.join(_timing(t).lines)}" for t in row.timings]
    return row.model, row.recipe, sizes, f"{kept}: {row.kept}", "; ".join(times) or "-"


def _side(name: str, run: Results) -> dict[str, object]:
    return {
        "name": name,
        "run": run,
        "host": host_rows(run),
        "audio": audio_rows(run.audio_set),
    }


def _model_view(name: str, rows: list[Change], marks: dict[str, Mark]) -> dict[str, object]:
    targets = tuple(dict.fromkeys(t.target for row in rows for t in row.timings))
    table = Table(
        (*_COLUMNS, *(f"Time on {target}" for target in targets)),
        tuple(_row(row, targets, marks) for row in rows),
    )
    return {
        "name": name,
        "table": table,
        "marks": [marks[row.recipe] for row in rows],
        "figures": [f for t in targets if (f := _figure(name, t, rows, marks)) is not None],
    }


def _row(row: Change, targets: tuple[str, ...], marks: dict[str, Mark]) -> Row:
    by_target = {t.target: t for t in row.timings}
    there = row.now or row.then
    reason = ""
    if row.then is None or row.now is None:
        reason = f"only in the run {'now' if row.then is None else 'then'}"
    elif row.then.status != row.now.status:
        reason = f"{row.then.status} then, {row.now.status} now"
    ratio = row.size_ratio
    size_lines = () if ratio in (None, 1.0) else (ratio_text(ratio or 0.0),)
    cells = (
        fact(row.then.bytes if row.then else None, bytes_text),
        fact(row.now.bytes if row.now else None, bytes_text, size_lines),
        _kept(row.then),
        _kept(row.now),
        words(row.kept),
        *(_timing(by_target.get(target)) for target in targets),
    )
    status = there.status if there is not None else "failed"
    return Row(row.recipe, marks[row.recipe].icon, status, reason, cells)


def _kept(variant: Variant | None) -> Cell:
    if variant is None:
        return absent("-")
    accuracy = variant.judged
    if accuracy.token_agreement is not None:
        span = accuracy.interval
        return measured(
            accuracy.token_agreement, agreement_text, (agreement_range(*span),) if span else ()
        )
    return measured(accuracy.si_sdr_db, db_text)


def _timing(timing: Timing | None) -> Cell:
    if timing is None:
        return absent()
    shift = timing.shift
    if shift is None:
        return absent("not compared", (timing.reason,))
    lines = [f"{shift.ratio.low:.2f}–{shift.ratio.high:.2f}", shift.verdict.value]
    if shift.machine is not None and shift.levelled is not None:
        lines.append(f"machine {ratio_text(shift.machine.value)}")
        lines.append(f"without it {ratio_text(shift.levelled.value)}")
    return measured(shift.ratio.value, ratio_text, tuple(lines))


def _figure(name: str, target: str, rows: list[Change], marks: dict[str, Mark]) -> Figure | None:
    moved = [
        Moved(
            row.recipe,
            marks[row.recipe],
            t.shift.levelled or t.shift.ratio,
            f"{row.recipe}: {ratio_text(t.shift.ratio.value)} as measured, {t.shift.verdict}",
        )
        for row in rows
        for t in row.timings
        if t.target == target and t.shift is not None
    ]
    if not moved:
        return None
    levelled = all(
        t.shift.levelled for r in rows for t in r.timings if t.target == target and t.shift
    )
    taken = ", the machine's own change taken out" if levelled else ""
    chart = change_chart(moved, name=f"{name}: time on {target}, now over then")
    return Figure(f"Time on {target}{taken}: left is faster now", chart)
