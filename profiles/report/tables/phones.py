"""Phones without a phone: packaging as fact, coverage from tables, times as estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, estimate, fact
from profiles.report.tables.table import Row, Table
from profiles.report.views.choices import is_small
from profiles.report.views.fields import Record
from profiles.report.views.run import Profile, Run
from profiles.report.views.units import NBSP, bytes_text, percent_text, plural, seconds_range
from profiles.targets.mobile import MOBILE

SHOWN_AS_PHONES = frozenset(
    {"devices", "coverage", "platforms", "stores", "required_operators", "operators"}
    | {"zipped_bytes", "zipped_exact", "ort_bytes", "ort_reason"}
)
"""Fields of a profile that this module shows."""


@dataclass(frozen=True)
class Refusals:
    """What one runtime does not take: a line per operator and reason."""

    runtime: str
    lines: tuple[str, ...]


def packaging_table(run: Run, marks: dict[str, Mark]) -> Table:
    """Delivered size, ORT format, store limits, and what each platform takes of the graph.

    Without the limits where a model is far smaller than the published one: any store holds those.
    """
    found = _mobile(run, marks)
    small = any(is_small(m) for m in run.models)
    platforms = tuple(
        dict.fromkeys(p.need_text("platform") for _, r in found for p in r.records("platforms"))
    )
    rows = []
    for row, record in found:
        by_name = {p.need_text("platform"): p for p in record.records("platforms")}
        packed = (_zipped(record), _ort(record), *([] if small else [_stores(record)]))
        taken = tuple(_platform(by_name.get(name)) for name in platforms)
        rows.append(replace(row, cells=(*packed, *taken)))
    stores = [] if small else ["Fits the stores"]
    return Table(("Compressed", "ORT format", *stores, *platforms), tuple(rows))


def device_table(run: Run, marks: dict[str, Mark]) -> Table:
    """Estimated time of one call per device."""
    found = [(row, record.records("devices")) for row, record in _mobile(run, marks)]
    names = tuple(dict.fromkeys(d.need_text("device") for _, ds in found for d in ds))
    rows = []
    for row, devices in found:
        by_name = {d.need_text("device"): d for d in devices}
        rows.append(replace(row, cells=tuple(_range(by_name.get(name)) for name in names)))
    return Table(names, tuple(rows) if names else ())


def device_sources(run: Run, marks: dict[str, Mark]) -> tuple[str, ...]:
    """Where each device's figures are from, and how far to trust them."""
    lines = {
        d.need_text(
            "device"
        ): f"{d.need_text('device')} ({d.text('platform') or 'platform unknown'}): "
        f"{d.text('source') or 'no source'}; confidence {d.text('confidence') or 'not stated'}"
        for _, record in _mobile(run, marks)
        for d in record.records("devices")
    }
    return tuple(lines.values())


def refusals(run: Run) -> tuple[Refusals, ...]:
    """Per runtime (CUDA too), what it refuses and why, over all variants."""
    refused: dict[str, dict[str, int]] = {}
    for model in run.models:
        for variant in model.variants:
            for profile in variant.profiles.values():
                covered = [profile.extra.record("operators")]
                covered += profile.extra.mapped("coverage").values()
                for coverage in covered:
                    lines = refused.setdefault(coverage.text("runtime") or "unnamed", {})
                    for r in coverage.records("refusals"):
                        text = f"{r.text('op_type') or '?'}: {r.text('reason') or 'no reason'}"
                        lines[text] = lines.get(text, 0) + (r.count("nodes") or 0)
    return tuple(
        Refusals(runtime, tuple(f"{text} ({plural(n, 'node')})" for text, n in lines.items()))
        for runtime, lines in refused.items()
        if lines
    )


def _mobile(run: Run, marks: dict[str, Mark]) -> list[tuple[Row, Record]]:
    """A row without cells for each source and variant with a mobile profile, and that profile."""
    found = []
    for model in run.models:
        owners: list[tuple[str, Markup | None, str, Mapping[str, Profile]]]
        owners = [("FP32 source", None, "source", model.profiles)]
        owners += [(v.recipe, marks[v.recipe].icon, v.status, v.profiles) for v in model.variants]
        for name, icon, status, profiles in owners:
            profile = profiles.get(MOBILE.name)
            if profile is not None and profile.extra:
                found.append((Row(f"{model.name} · {name}", icon, status, "", ()), profile.extra))
    return found


def _zipped(record: Record) -> Cell:
    size = record.number("zipped_bytes")
    if size is not None and record.data.get("zipped_exact") is False:
        return estimate(f"≈{NBSP}{bytes_text(size)}", size, ("from samples",))
    return fact(size, bytes_text)


def _ort(record: Record) -> Cell:
    reason = record.text("ort_reason")
    if record.number("ort_bytes") is None:
        return absent("none", () if reason is None else (reason,))
    return fact(record.number("ort_bytes"), bytes_text)


def _stores(record: Record) -> Cell:
    stores = record.records("stores")
    if not stores:
        return absent()
    misfits = [s for s in stores if s.data.get("fits") is not True]
    if not misfits:
        return Cell("all", "fact", "all", (plural(len(stores), "limit"),))
    names = tuple(
        f"not {s.text('store') or '?'} {s.text('part') or ''}"
        f" ({bytes_text(s.number('limit_bytes') or 0.0)})"
        for s in misfits
    )
    return Cell(f"{len(stores) - len(misfits)} of {len(stores)}", "fact", "some", names)


def _platform(record: Record | None) -> Cell:
    if record is None:
        return absent()
    nodes, parts = record.number("node_share"), record.count("partitions")
    lines = (
        record.text("runtime") or "runtime unknown",
        "" if nodes is None else f"{percent_text(nodes)} of nodes",
        "" if parts is None else plural(parts, "partition"),
    )
    return fact(record.number("flops_share"), percent_text, tuple(t for t in lines if t))


def _range(record: Record | None) -> Cell:
    if record is None:
        return absent("not estimated")
    low, high = record.number("low_s"), record.number("high_s")
    if low is None or high is None:
        return absent("not estimated")
    misfit = ("does not fit in memory",) if record.data.get("fits_memory") is False else ()
    return estimate(f"≈{NBSP}{seconds_range(low, high)}", (low + high) / 2, misfit)
