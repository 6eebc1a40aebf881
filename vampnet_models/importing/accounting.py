"""The account of an import: where every tensor of every checkpoint went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from vampnet_models.checkpoints.tensors import Fate, Ledger, LedgerRow
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.records.import_record import AccountRecord


@dataclass(frozen=True)
class Account:
    """One checkpoint's rows; `source` is its file name."""

    source: str
    rows: tuple[LedgerRow, ...]

    def n_tensors(self, fate: Fate) -> int:
        """Tensors of that fate."""
        return sum(row.fate == fate for row in self.rows)

    def n_parameters(self, fate: Fate) -> int:
        """Values in the tensors of that fate."""
        return sum(row.n_parameters for row in self.rows if row.fate == fate)


def open_account(source: str, ledger: Ledger) -> Account:
    """The rows of a ledger. Raises InputError that names the tensors nobody accounts for."""
    lost = ledger.unaccounted()
    if lost:
        raise InputError(
            f"{source}: {len(lost)} tensors would be lost ({', '.join(lost[:8])}"
            f"{', ...' if len(lost) > 8 else ''}); the checkpoint is of another architecture"
        )
    return Account(source, ledger.rows())


def require_read(source: str, ledger: Ledger) -> None:
    """Raise PromiseMissed when a tensor was said to be in a graph and its values are not."""
    unread = ledger.unread()
    if unread:
        raise PromiseMissed(
            f"{source}: {', '.join(unread[:8])} should be in a model, but no model holds it; "
            "nothing was imported, please report this"
        )


def account_record(account: Account) -> AccountRecord:
    """An account as import.json holds it."""
    return AccountRecord(
        source=account.source,
        tensors={fate: account.n_tensors(fate) for fate in get_args(Fate)},
        parameters={fate: account.n_parameters(fate) for fate in get_args(Fate)},
        rows=account.rows,
    )


_SAID: dict[Fate, str] = {"folded": "folded into others"}


def account_summary(account: Account) -> str:
    """One line: tensors and parameters by fate."""
    parts = []
    for fate in get_args(Fate):
        n_tensors, n_parameters = account.n_tensors(fate), account.n_parameters(fate)
        if n_tensors or fate == "unaccounted":
            parts.append(f"{n_tensors} {_SAID.get(fate, fate)} ({n_parameters:,} parameters)")
    return f"{account.source}: {len(account.rows)} tensors: {', '.join(parts)}"


def account_table(account: Account) -> str:
    """A line per tensor in aligned columns: name, shape, dtype, fate, where to or why not."""
    cells = [("tensor", "shape", "dtype", "fate", "into / because")]
    cells += [
        (row.name, "x".join(map(str, row.shape)) or "scalar", row.dtype, row.fate, row.target)
        for row in account.rows
    ]
    return "\n".join(_aligned(cells))


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    return [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    ]
