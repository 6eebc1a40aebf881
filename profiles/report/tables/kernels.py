"""Where the time of each variant goes, in tables: against the peaks, per operator, block, node."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, fact, measured
from profiles.report.tables.table import Row, Table
from profiles.report.views.kernels import KernelTimes
from profiles.report.views.units import (
    NBSP,
    bytes_text,
    count_text,
    digits,
    percent_text,
    seconds_text,
)
from vampnet_models.records.profiles import KernelShare, Peaks

MOST_OPERATORS, MOST_NODES = 8, 6
"""Rows per variant; the rest stand in results.json."""

_COLUMNS = ("Time", "Of kernels", "Calls", "FLOPs", "Bytes", "GFLOP/s", "Reached of the bound")


def roof_table(found: Mapping[str, KernelTimes], marks: Mapping[str, Mark]) -> Table:
    """A row per variant: its bound on this machine, and how near it came."""
    columns = ("Reached of the bound", "Bound", "In kernels", "Outside", "FLOP per byte")
    rows = [
        _row(
            name,
            marks,
            measured(t.roof.efficiency, percent_text),
            measured(t.roof.floor_s, seconds_text),
            measured(t.traced.kernels_s, seconds_text),
            measured(t.traced.outside_s, seconds_text),
            fact(
                t.roof.flops_per_byte,
                digits,
                (f"memory decides {percent_text(t.roof.memory_bound_share)}", "of the bound"),
            ),
        )
        for name, t in found.items()
    ]
    return Table(columns, tuple(rows))


def operator_table(found: Mapping[str, KernelTimes], marks: Mapping[str, Mark]) -> Table:
    """The longest operators of each variant."""
    return _longest(
        {n: t.traced.by_operator for n, t in found.items()}, found, marks, MOST_OPERATORS
    )


def node_table(found: Mapping[str, KernelTimes], marks: Mapping[str, Mark]) -> Table:
    """The longest nodes of each variant."""
    return _longest({n: t.traced.by_node for n, t in found.items()}, found, marks, MOST_NODES)


def block_table(found: Mapping[str, KernelTimes]) -> Table:
    """A row per block in the order of the source, a column per variant."""
    blocks = dict.fromkeys(row.name for t in found.values() for row in t.traced.by_block)
    by_name = {n: {row.name: row for row in t.traced.by_block} for n, t in found.items()}
    first = next(iter(by_name.values()))
    rows = []
    for block in blocks:
        cost = first.get(block)
        cells = [
            fact(cost.flops if cost else None, _count),
            fact(cost.bytes if cost else None, bytes_text),
        ]
        cells += [_time(rows_of.get(block)) for rows_of in by_name.values()]
        rows.append(Row(block, None, "ok", "", tuple(cells)))
    return Table(("FLOPs", "Bytes", *by_name), tuple(rows))


def peaks_sentence(peaks: Peaks) -> str:
    """What this machine can do, measured."""
    return (
        f"This machine's measured peaks with {peaks.threads} threads: "
        f"{digits(peaks.fp32_flops_per_s / 1e9)} GFLOP/s in FP32 and "
        f"{digits(peaks.int8_ops_per_s / 1e9)} GOP/s in INT8 (matrix product), "
        f"{digits(peaks.copy_bytes_per_s / 1e9)} GB/s (memory copy, read and written)."
    )


def _longest(
    stacks: Mapping[str, tuple[KernelShare, ...]],
    found: Mapping[str, KernelTimes],
    marks: Mapping[str, Mark],
    most: int,
) -> Table:
    rows = [
        _row(
            f"{name} · {each.name}",
            marks,
            measured(each.seconds, seconds_text),
            measured(each.share, percent_text),
            fact(each.calls, count_text),
            fact(each.flops, _count),
            fact(each.bytes, bytes_text),
            measured(each.flops / each.seconds / 1e9 if each.seconds else None, digits),
            _reached(each, found[name].peaks),
            icon_of=name,
        )
        for name, stack in stacks.items()
        for each in stack[:most]
    ]
    return Table(_COLUMNS, tuple(rows))


def _row(name: str, marks: Mapping[str, Mark], *cells: Cell, icon_of: str | None = None) -> Row:
    mark = marks.get(name if icon_of is None else icon_of)
    icon: Markup | None = None if mark is None else mark.icon
    return Row(name, icon, "ok" if mark is not None else "source", "", cells)


def _reached(kernel: KernelShare, peaks: Peaks) -> Cell:
    """Above 100 % the tensors stayed in a cache."""
    if not kernel.seconds:
        return absent("too short")
    share = peaks.bound_s(kernel) / kernel.seconds
    return measured(share, percent_text, ("from cache",) if share > 1 else ())


def _time(kernel: KernelShare | None) -> Cell:
    if kernel is None:
        return absent("none")
    return measured(kernel.seconds, seconds_text, (percent_text(kernel.share),))


def _count(value: float) -> str:
    """FLOPs with a prefix: `1.23 G`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{digits(value / size)}{NBSP}{unit}"
    return count_text(value)
