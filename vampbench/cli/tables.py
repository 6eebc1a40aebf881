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

_WORD_COLUMNS = 24
"""A longer word of a text column may be broken."""

_FURTHER = "    "
"""Ahead of the further lines of a row."""

_KEPT_BLANK = "\ue000"
"""A blank at which no line is broken: of Unicode's private use, so that no text has it."""

_BETWEEN_COLUMNS = 2
"""The blanks from one column to the next."""

_NUMBER = re.compile(r"[~<>≈]?\s?[-+−]?\.?\d[\d.,]*(?:e[-+]?\d+)?(?:%|x|[kMGT]?B)?(?![^\s,;)])")

_SIGN = re.compile(r"[/.:]|(?<=[a-z0-9])(?=[A-Z])")
"""Behind which a long name may be broken: a sign, or a word of an operator's name."""

_LABEL = re.compile(r"\s*\S+(?: \S+)*\s{2,}(?=\S)")

_Rows = Sequence[Sequence[str]]


def table_of(title: str, columns: Sequence[str], rows: _Rows, width: int) -> Table | None:
    """The table within `width` columns; None where its words would have to be broken.

    A column whose values all begin with a number is one of numbers: it stands right, and its
    values are never wrapped.
    """
    numbers = [_are_numbers([row[i] for row in rows]) for i in range(len(columns))]
    least = [
        max(_least([column], numbers=False), _least([r[i] for r in rows], numbers=numbers[i]))
        for i, column in enumerate(columns)
    ]
    room = width - _BETWEEN_COLUMNS * (len(columns) - 1)
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
    widths = _within(room, whole, least)
    for column, is_number, columns_wide in zip(columns, numbers, widths, strict=True):
        table.add_column(
            shown(column),
            justify="right" if is_number else "left",
            overflow="fold",
            width=columns_wide,
        )
    for row in rows:
        cells = zip(row, numbers, widths, strict=True)
        # Values of number columns are never wider than their column.
        wrapped = ([cell] if number else _lines(cell, room) for cell, number, room in cells)
        table.add_row(*("\n".join(map(shown, lines)) for lines in wrapped))
    return table


def _lines(text: str, width: int) -> list[str]:
    """A text within a width; a word that is too long for it is broken behind a sign, if it has."""
    words = []
    for word in text.split():
        while cell_len(visible(word)) > width:
            signs = [match.end() for match in _SIGN.finditer(word, 0, width)]
            end = signs[-1] if signs else width
            words.append(word[:end])
            word = word[end:]
        words.append(word)
    lines: list[str] = []
    for word in filter(None, words):
        if lines and cell_len(visible(f"{lines[-1]} {word}")) <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def filled(columns: Sequence[str], rows: _Rows) -> tuple[list[str], list[list[str]]]:
    """Columns and rows without the columns that no row has a value in."""
    kept = [n for n in range(len(columns)) if any(row[n] != NOTHING for row in rows)]
    return [columns[n] for n in kept], [[row[n] for n in kept] for row in rows]


def hanging(text: str, width: int) -> list[str]:
    """A label and a fact, set apart by blanks, in lines: what is too long goes on below the fact.

    Other texts stay one line.
    """
    label = _LABEL.match(text)
    if label is None or cell_len(visible(text)) <= width:
        return [text]
    below = label.end() if label.end() <= width // 2 else len(_FURTHER)
    return textwrap.wrap(
        text[label.end() :],
        width,
        initial_indent=label[0],
        subsequent_indent=" " * below,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _within(room: int, whole: Sequence[int], least: Sequence[int]) -> list[int]:
    """Widths of columns that together take no more than `room`: the widest give way first."""
    widths = [max(pair) for pair in zip(whole, least, strict=True)]
    while sum(widths) > room:
        spare = [
            n for n, (now, needed) in enumerate(zip(widths, least, strict=True)) if now > needed
        ]
        widths[max(spare, key=widths.__getitem__)] -= 1
    return widths


def stacked(columns: Sequence[str], rows: _Rows, width: int) -> Iterator[str]:
    """The rows one below the other, for a width that no table fits: each value with its column."""
    for row in rows:
        yield row[0]
        cells = [
            f"{column} {cell}" if column else cell
            for column, cell in zip(columns[1:], row[1:], strict=True)
            if cell not in ("", NOTHING)
        ]
        # A value stays on one line with its column and its unit, where that is short enough.
        kept = (
            cell.replace(" ", _KEPT_BLANK) if len(cell) < width - len(_FURTHER) else cell
            for cell in cells
        )
        for line in textwrap.wrap(
            "; ".join(kept),
            width,
            initial_indent="  ",
            subsequent_indent=_FURTHER,
            break_on_hyphens=False,
        ):
            yield line.replace(_KEPT_BLANK, " ")


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether a column's values are numbers, with or without a unit; those without one aside."""
    told = [cell for cell in cells if cell not in ("", NOTHING)]
    return bool(told) and all(_NUMBER.match(cell) for cell in told)


def _least(cells: Sequence[str], *, numbers: bool) -> int:
    """The least width that keeps values, or words, whole."""
    if numbers:
        return max(cell_len(visible(cell)) for cell in cells)
    words = [word for cell in cells for word in visible(cell).split()]
    return min(_WORD_COLUMNS, max((cell_len(word) for word in words), default=1))


def shown(text: str) -> str:
    """Text for rich: what files hold is never its markup, nor what a terminal obeys."""
    return escape(visible(text))
