"""How a table is laid out: text left, numbers right, within the width that is there."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from vampnet_models.text import visible

NOTHING = "-"
"""A cell that has no value."""

WORD_COLUMNS = 24
"""A longer word of a text column may be broken."""

BETWEEN_COLUMNS = 2
"""The blanks from one column to the next."""

_NUMBER = re.compile(r"[~<>≈]?\s?[-+−]?\.?\d")

Rows = Sequence[Sequence[str]]


def table_of(title: str, columns: Sequence[str], rows: Rows, width: int) -> Table | None:
    """The table within `width` columns; None where its words would have to be broken.

    A column whose values all begin with a digit is one of numbers: it stands right, and its
    values are never wrapped.
    """
    numbers = [are_numbers([row[i] for row in rows]) for i in range(len(columns))]
    least = [
        max(_least([column], numbers=False), _least([r[i] for r in rows], numbers=numbers[i]))
        for i, column in enumerate(columns)
    ]
    room = width - BETWEEN_COLUMNS * (len(columns) - 1)
    if sum(least) > room:
        return None
    whole = [
        max(cell_len(visible(cell)) for cell in (column, *(row[i] for row in rows)))
        for i, column in enumerate(columns)
    ]
    table = Table(
        title=shown(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column, is_number, columns_wide in zip(
        columns, numbers, _within(room, whole, least), strict=True
    ):
        table.add_column(
            shown(column),
            justify="right" if is_number else "left",
            overflow="fold",
            width=columns_wide,
        )
    for row in rows:
        table.add_row(*(shown(cell) for cell in row))
    return table


def _within(room: int, whole: Sequence[int], least: Sequence[int]) -> list[int]:
    """Widths of columns that together take no more than `room`: the widest give way first."""
    widths = [max(pair) for pair in zip(whole, least, strict=True)]
    while sum(widths) > room:
        spare = [
            n for n, (now, needed) in enumerate(zip(widths, least, strict=True)) if now > needed
        ]
        widths[max(spare, key=widths.__getitem__)] -= 1
    return widths


def stacked(columns: Sequence[str], rows: Rows, width: int) -> Iterator[str]:
    """The rows one below the other, for a width that no table fits: each value with its column."""
    for row in rows:
        yield row[0]
        cells = [
            f"{column} {cell}" if column else cell
            for column, cell in zip(columns[1:], row[1:], strict=True)
            if cell not in ("", NOTHING)
        ]
        yield from textwrap.wrap(
            "; ".join(cells), width, initial_indent="  ", subsequent_indent="    "
        )


def are_numbers(cells: Sequence[str]) -> bool:
    """Whether a column's values are numbers, with or without a unit; those without one aside."""
    told = [cell for cell in cells if cell not in ("", NOTHING)]
    return bool(told) and all(_NUMBER.match(cell) for cell in told)


def _least(cells: Sequence[str], *, numbers: bool) -> int:
    """The least width that keeps values, or words, whole."""
    if numbers:
        return max(cell_len(visible(cell)) for cell in cells)
    words = [word for cell in cells for word in visible(cell).split()]
    return min(WORD_COLUMNS, max((cell_len(word) for word in words), default=1))


def shown(text: str) -> str:
    """Text for rich: what files hold is never its markup, nor what a terminal obeys."""
    return escape(visible(text))
