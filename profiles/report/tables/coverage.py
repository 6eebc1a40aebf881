"""What calibration and evaluation of a model exercised."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.report.tables.cells import Cell, absent, fact
from profiles.report.tables.table import Row, Table
from profiles.report.views.units import count_text, percent_text, plural
from vampnet_models.records.results import Model
from vampnet_models.records.variant import FeedCoverage

_COLUMNS = (
    "Feeds",
    "Masked, by tenths from few to all",
    "Prompts",
    "Codebook entries seen",
    "Lengths",
    "Kinds of sound, roughly",
    "Codes from",
)


def coverage_table(model: Model) -> Table:
    """A row for each side; without rows where nothing was recorded."""
    found = model.coverage
    sides = (("calibration", found.calibration), ("evaluation", found.evaluation))
    rows = (Row(name, None, "ok", "", _cells(c)) for name, c in sides if c is not None)
    return Table(_COLUMNS, tuple(rows))


def outside_lines(model: Model) -> tuple[str, ...]:
    """A line for each tensor that evaluation leaves the calibrated range of."""
    return tuple(
        f"{o.recipe}: {o.tensor}"
        + ("" if o.share is None else f": {percent_text(o.share)} of its values")
        for o in model.coverage.outside
    )


def _cells(found: FeedCoverage) -> tuple[Cell, ...]:
    bins = found.mask_ratios
    ratios = " ".join(count_text(n) for n in bins) if bins else ""
    entries = found.entries_seen
    shares = f"{percent_text(min(entries))} to {percent_text(max(entries))}" if entries else ""
    return (
        fact(found.n_feeds, lambda n: plural(int(n), "feed")),
        _said(ratios),
        _counted(found.prompts),
        _said(shares),
        _counted(found.lengths),
        _counted(found.classes),
        _counted(found.codes_from),
    )


def _counted(counts: Mapping[str, float]) -> Cell:
    return _said(", ".join(f"{count_text(n)} \u00d7 {name}" for name, n in counts.items()))


def _said(text: str) -> Cell:
    return Cell(text, "fact", text) if text else absent("none")
