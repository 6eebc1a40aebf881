"""What each block of a tuned model got, what that costs and saves, and why no smaller precision."""

from __future__ import annotations

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, fact, measured, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.units import bytes_text, signed_text
from vampnet_models.records.results import Block, BlockOption, Model


def block_table(model: Model, marks: dict[str, Mark]) -> Table:
    """A row per block that had a choice; without rows where nothing was searched.

    What a block costs alone has a column where the search measured it.
    """
    blocks = [block for block in model.blocks if len(block.options) > 1]
    costs = any(option.cost is not None for block in blocks for option in block.options)
    columns = ("Gets", "Damage alone", *(("Cost alone",) if costs else ()), "Saves")
    return Table(columns, tuple(_row(block, marks.get(block.chosen), costs) for block in blocks))


def _row(block: Block, mark: Mark | None, costs: bool) -> Row:
    got = next((o for o in block.options if o.precision == block.chosen), None)
    damage, cost, saves = (absent(),) * 3 if got is None else _figures(got)
    cells = (words(block.chosen), damage, *((cost,) if costs else ()), saves)
    return Row(block.block, None if mark is None else mark.icon, "ok", block.words, cells)


def _figures(option: BlockOption) -> tuple[Cell, Cell, Cell]:
    damage = measured(option.damage, lambda value: "none" if value == 0 else f"{value:.1e}")
    return damage, measured(option.cost, signed_text), fact(option.saved_bytes, bytes_text)
