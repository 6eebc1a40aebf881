"""Phones without a phone: packaging as fact, coverage from tables, times as estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from markupsafe import Markup

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, estimate, fact
from profiles.report.tables.table import Row, Table
from profiles.report.views.choices import is_small
from profiles.report.views.units import NBSP, bytes_text, percent_text, plural, seconds_range
from profiles.targets.mobile import MOBILE
from vampnet_models.records.profiles import (
    DeviceEstimate,
    Estimate,
    NotMeasured,
    PlatformChoice,
    Profile,
    RuntimeCoverage,
)
from vampnet_models.records.results import Results

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


def packaging_table(run: Results, marks: dict[str, Mark]) -> Table:
    """Delivered size, ORT format, store limits, and what each platform takes of the graph.

    Without the limits where a model is far smaller than the published one: any store holds those.
    """
    found = _mobile(run, marks)
    small = any(is_small(m) for m in run.models)
    platforms = tuple(dict.fromkeys(p.platform for _, each in found for p in each.platforms))
    rows = []
    for row, profile in found:
        by_name = {p.platform: p for p in profile.platforms}
        packed = (_zipped(profile), _ort(profile), *([] if small else [_stores(profile)]))
        taken = tuple(_platform(by_name.get(name)) for name in platforms)
        rows.append(replace(row, cells=(*packed, *taken)))
    stores = [] if small else ["Fits the stores"]
    return Table(("Compressed", "ORT format", *stores, *platforms), tuple(rows))


def device_table(run: Results, marks: dict[str, Mark]) -> Table:
    """Estimated time of one call per device."""
    found = _mobile(run, marks)
    names = tuple(dict.fromkeys(d.device for _, profile in found for d in profile.devices))
    rows = []
    for row, profile in found:
        by_name = {d.device: d for d in profile.devices}
        rows.append(replace(row, cells=tuple(_range(by_name.get(name)) for name in names)))
    return Table(names, tuple(rows) if names else ())


def device_sources(run: Results, marks: dict[str, Mark]) -> tuple[str, ...]:
    """Where each device's figures are from, and how far to trust them."""
    lines = {
        d.device: f"{d.device} ({d.platform or 'platform unknown'}): {d.source}; "
        f"confidence {d.confidence or 'not stated'}"
        for _, profile in _mobile(run, marks)
        for d in profile.devices
    }
    return tuple(lines.values())


def refusals(run: Results) -> tuple[Refusals, ...]:
    """Per runtime (CUDA too), what it refuses and why, over all variants."""
    refused: dict[str, dict[str, int]] = {}
    for model in run.models:
        for variant in model.variants:
            for profile in variant.profiles.values():
                for covered in _coverages(profile):
                    lines = refused.setdefault(covered.runtime, {})
                    for r in covered.refusals:
                        text = f"{r.op_type}: {r.reason}"
                        lines[text] = lines.get(text, 0) + r.nodes
    return tuple(
        Refusals(runtime, tuple(f"{text} ({plural(n, 'node')})" for text, n in lines.items()))
        for runtime, lines in refused.items()
        if lines
    )


def _coverages(profile: Profile) -> tuple[RuntimeCoverage, ...]:
    if isinstance(profile, Estimate):
        return tuple(profile.coverage.values())
    covered = profile.operators if isinstance(profile, NotMeasured) else None
    return () if covered is None else (covered,)


def _mobile(run: Results, marks: dict[str, Mark]) -> list[tuple[Row, Estimate]]:
    """A row without cells for each source and variant with a mobile profile, and that profile."""
    found = []
    for model in run.models:
        owners: list[tuple[str, Markup | None, str, Mapping[str, Profile]]]
        owners = [("FP32 source", None, "source", model.profiles)]
        owners += [(v.recipe, marks[v.recipe].icon, v.status, v.profiles) for v in model.variants]
        for name, icon, status, profiles in owners:
            profile = profiles.get(MOBILE.name)
            if isinstance(profile, Estimate):
                found.append((Row(f"{model.name} · {name}", icon, status, "", ()), profile))
    return found


def _zipped(profile: Estimate) -> Cell:
    size = profile.zipped_bytes
    if size is not None and profile.zipped_exact is False:
        return estimate(f"≈{NBSP}{bytes_text(size)}", size, ("from samples",))
    return fact(size, bytes_text)


def _ort(profile: Estimate) -> Cell:
    reason = profile.ort_reason
    if profile.ort_bytes is None:
        return absent("none", () if reason is None else (reason,))
    return fact(profile.ort_bytes, bytes_text)


def _stores(profile: Estimate) -> Cell:
    stores = profile.stores
    if not stores:
        return absent()
    misfits = [s for s in stores if not s.fits]
    if not misfits:
        return Cell("all", "fact", "all", (plural(len(stores), "limit"),))
    names = tuple(f"not {s.store} {s.part} ({bytes_text(s.limit_bytes)})" for s in misfits)
    return Cell(f"{len(stores) - len(misfits)} of {len(stores)}", "fact", "some", names)


def _platform(choice: PlatformChoice | None) -> Cell:
    if choice is None:
        return absent()
    nodes = f"{percent_text(choice.node_share)} of nodes"
    lines = (choice.runtime, nodes, plural(choice.partitions, "partition"))
    return fact(choice.flops_share, percent_text, lines)


def _range(device: DeviceEstimate | None) -> Cell:
    if device is None:
        return absent("not estimated")
    low, high = device.low_s, device.high_s
    misfit = ("does not fit in memory",) if device.fits_memory is False else ()
    return estimate(f"≈{NBSP}{seconds_range(low, high)}", (low + high) / 2, misfit)
