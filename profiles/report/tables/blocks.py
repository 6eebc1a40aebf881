"""What each block of a tuned model got, what that costs and saves, and why no smaller precision."""

from __future__ import annotations

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, fact, measured, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.units import bytes_text
from vampnet_models.records.results import Block, BlockOption, Model

_COLUMNS = ("Gets", "Damage alone", "Saves")


def block_table(model: Model, marks: dict[str, Mark]) -> Table:
    """A row per block that had a choice; without rows where nothing was searched."""
    blocks = (block for block in model.blocks if len(block.options) > 1)
    return Table(_COLUMNS, tuple(_row(block, marks.get(block.chosen)) for block in blocks))


def _row(block: Block, mark: Mark | None) -> Row:
    got = next((o for o in block.options if o.precision == block.chosen), None)
    damage, saves = (absent(), absent()) if got is None else _figures(got)
    cells = (words(block.chosen), damage, saves)
    return Row(block.block, None if mark is None else mark.icon, "ok", block.words, cells)


def _figures(option: BlockOption) -> tuple[Cell, Cell]:
    damage = measured(option.damage, lambda value: "none" if value == 0 else f"{value:.1e}")
    return damage, fact(option.saved_bytes, bytes_text)
