"""What each block of a tuned model got, what that costs and saves, and why no smaller precision."""

from __future__ import annotations

from profiles.report.cells import Cell, absent, fact, measured, words
from profiles.report.marks import Mark
from profiles.report.run import Block, BlockOption, Model
from profiles.report.tables import Row, Table
from profiles.report.units import bytes_text

COLUMNS = ("Gets", "Damage alone", "Saves", "Why no smaller one")


def block_table(model: Model, marks: dict[str, Mark]) -> Table:
    """A row per block that had a choice; without rows where nothing was searched."""
    blocks = (block for block in model.blocks if len(block.options) > 1)
    return Table(COLUMNS, tuple(_row(block, marks.get(block.chosen)) for block in blocks))


def _row(block: Block, mark: Mark | None) -> Row:
    return Row(block.name, None if mark is None else mark.icon, "ok", "", _cells(block))


def _cells(block: Block) -> tuple[Cell, ...]:
    got = next((o for o in block.options if o.precision == block.chosen), None)
    if got is None:
        return (words(block.chosen), absent(), absent(), _why(block))
    return (words(block.chosen), _damage(got), fact(got.saved_bytes, bytes_text), _why(block))


def _damage(option: BlockOption) -> Cell:
    return measured(option.damage, lambda value: "none" if value == 0 else f"{value:.1e}")


def _why(block: Block) -> Cell:
    return absent("not recorded") if block.why is None else words(block.why)
