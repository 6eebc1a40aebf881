"""What every table is made of: rows of a name, a status and cells."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.tables.cells import Cell

_STATUS_WORDS = {
    "source": "reference",
    "ok": "ok",
    "missed": "missed",
    "failed": "failed",
    "not-applicable": "not applicable",
    "incomplete": "incomplete",
}


@dataclass(frozen=True)
class Row:
    """A table row: a name with its mark, a status, and the other cells.

    Without cells, the reason stands in their place.
    """

    name: str
    icon: Markup | None
    status: str
    reason: str
    cells: tuple[Cell, ...]

    @property
    def status_words(self) -> str:
        """The status as the page says it."""
        return _STATUS_WORDS[self.status]


@dataclass(frozen=True)
class Table:
    """Column names and rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
