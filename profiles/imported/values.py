"""What a reader of another tool's file hands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vampnet_models.errors import InputError

MICRO = 1e-6


@dataclass(frozen=True)
class Found:
    """The figures of one file, in seconds and bytes; `median_s` and `p90_s` are the tool's own."""

    tool: str
    model: str = ""
    samples_s: tuple[float, ...] = ()
    median_s: float | None = None
    p90_s: float | None = None
    runs: int | None = None
    first_run_s: float | None = None
    session_s: float | None = None
    peak_rss_bytes: int | None = None
    compute_units: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def number(path: Path, value: object) -> float:
    """The value as a number. Raises InputError for anything else."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        return float(value)
    except ValueError:
        raise InputError(f"{path}: {value!r} stands where a number should") from None
