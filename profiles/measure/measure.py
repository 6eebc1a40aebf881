"""Timing of variants against each other: fresh processes, interleaved in shuffled rounds.

Each variant lives in a process of its own with one open session. A round asks every one of them
once, in an order drawn anew, so that a machine that speeds up or slows down does so for all of
them (the randomised block design; Georges, Buytaert and Eeckhout, OOPSLA 2007, for why fresh
processes). The first model is the reference of the ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from profiles import host
from profiles.files import model_files, size_of
from profiles.measure import stats
from profiles.measure.process import ChildFailed, child
from profiles.measure.rounds import Entry, Plan, measure_group
from profiles.measure.yardstick import NAME as YARDSTICK
from profiles.measure.yardstick import write_yardstick
from profiles.place import Place
from vampnet_models.errors import InputError
from vampnet_models.progress import Progress, silent
from vampnet_models.records.profiles import Failure, Measurement
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import IR_VERSION, OPSET

DEFAULT_PLAN = Plan()

_OVERHEAD_RUNS = 50
"""Of a model that does nothing: they take microseconds each."""

_BASE_BYTES = 300_000_000
_MEMORY_FACTOR = 3
"""A session is predicted to need _BASE_BYTES + MEMORY_FACTOR x its files: FP16 weights become
FP32 on x86, and kernels keep a packed copy beside them."""


def measure(
    models: Sequence[tuple[str, Path]],
    feeds_path: Path,
    place: Place,
    *,
    plan: Plan = DEFAULT_PLAN,
    bind: str = "",
    progress: Progress = silent,
) -> dict[str, Measurement | Failure]:
    """Measure (name, model file) pairs, the first being the reference, with one set of feeds.

    A run takes the feeds from an .npz file and fetches every output; with `bind`, both stay on
    that device. A model that cannot be opened or that crashes gives a Failure, the others go
    on. Where memory is predicted to be short, the variants are measured in groups, each with
    the reference, and say so. Raises InputError when `feeds_path` is missing.
    """
    if not feeds_path.is_file():
        raise InputError(f"{feeds_path}: no such file; write the feeds to it as an .npz archive")
    progress(0, 1)
    overhead_s = harness_overhead_s(place, bind)
    records: dict[str, Measurement | Failure] = {}
    entries = []
    for name, path in models:
        try:
            entries.append(Entry(name, path, feeds_path, size_of(model_files(path))))
        except InputError as error:
            records[name] = Failure(place.label, str(error))
    reference = entries[0].name if entries and entries[0].name == models[0][0] else None
    available = host.memory_bytes()[1]
    groups = plan_groups([e.bytes for e in entries], available, reference is not None)
    with scratch_folder() as folder:
        yardstick = _yardstick(folder) if plan.yardstick else None
        for members in groups:
            chosen = [_fresh(entries[i]) for i in members]
            beside = [_fresh(yardstick)] if yardstick else []
            share = measure_group([*chosen, *beside], place, plan, bind, progress)
            around = _Around(overhead_s, share, tuple(s for e in beside for s in e.samples_s))
            for entry in chosen:
                if entry.name in records:
                    continue  # the reference keeps the figures of its first group
                if len(groups) > 1:
                    warning = _grouping(entry, chosen, reference, len(groups), available)
                    entry.warnings.append(warning)
                records[entry.name] = _record(entry, chosen[0], reference, place, around)
    return {name: records[name] for name, _ in models}


@dataclass(frozen=True)
class _Around:
    """What was measured around the variants of a group."""

    overhead_s: float
    foreign_share: float | None
    yardstick_s: tuple[float, ...]


def plan_groups(
    sizes_bytes: Sequence[int], available_bytes: int | None, with_reference: bool
) -> list[list[int]]:
    """Which models are open at the same time; index 0, the reference, is in each group.

    A model too large to be open beside the reference is measured alone.
    """
    needs = [_BASE_BYTES + _MEMORY_FACTOR * size for size in sizes_bytes]
    if available_bytes is None or sum(needs) <= available_bytes:
        return [list(range(len(needs)))] if needs else []
    fixed = [0] if with_reference else []
    room = available_bytes - sum(needs[i] for i in fixed)
    groups: list[list[int]] = []
    alone: list[list[int]] = []
    current, used = list(fixed), 0
    for i in range(len(fixed), len(needs)):
        if needs[i] > room:
            alone.append([i])
            continue
        if used + needs[i] > room:
            groups.append(current)
            current, used = list(fixed), 0
        current.append(i)
        used += needs[i]
    if current and (len(current) > len(fixed) or not groups):
        groups.append(current)
    return groups + alone


@cache
def harness_overhead_s(place: Place, bind: str = "") -> float:
    """The median time of a model that does nothing, measured as every model is.

    Raises InputError when even that model does not run.
    """
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "identity", info[:1], info[1:]
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    with scratch_folder() as folder:
        path, feeds = folder / "identity.onnx", folder / "feeds.npz"
        onnx.save(model, path)
        np.savez(feeds, x=np.zeros(1, np.float32))
        try:
            with child(path, feeds, place, bind) as process:
                process.run(5)  # the first ones allocate
                return stats.percentile(process.run(_OVERHEAD_RUNS), 50)
        except ChildFailed as error:
            why = str(error).removeprefix(f"{path}: ")
            raise InputError(f"{place.name}: cannot run even an identity model: {why}") from None


def _record(
    entry: Entry,
    first: Entry,
    reference: str | None,
    place: Place,
    around: _Around,
) -> Measurement | Failure:
    if entry.failure:
        return Failure(place.label, f"{entry.path.name}: {entry.failure}")
    assert entry.child is not None
    samples = entry.samples_s
    ratio = None
    if first.name == reference and len(first.samples_s) == len(samples) and not first.failure:
        ratio = stats.paired_ratio(first.samples_s, samples)
    elif reference is None or first.failure:
        entry.warnings.append("the reference failed: no ratio to it")
    verdict = stats.verdict(ratio) if ratio and entry is not first else None
    if verdict is stats.Verdict.SLOWER and ratio:
        entry.warnings.append(
            f"{ratio.value:.2f} times the reference's time: slower here; use the reference or "
            "another recipe for speed on this target"
        )
    noise = stats.noise_verdict(samples, around.foreign_share)
    summary = stats.summarise(samples)
    if around.overhead_s > 0.01 * summary.median:
        share = around.overhead_s / summary.median
        entry.warnings.append(f"the harness adds {share:.0%} to each run: use longer feeds")
    return Measurement(
        target=place.label,
        threads=place.threads,
        bytes=entry.bytes,
        samples_s=tuple(samples),
        warmup_s=tuple(entry.warmup_s),
        median_s=summary.median,
        p10_s=summary.p10,
        p90_s=summary.p90,
        p99_s=summary.p99,
        n_samples=summary.n,
        session_s=float(entry.child.ready["session_s"]),
        session_cold_s=entry.cold_s,
        first_run_s=entry.first_run_s,
        peak_rss_bytes=entry.peak_rss_bytes,
        base_rss_bytes=int(entry.child.ready["base_rss_bytes"]),
        rss_after_load_bytes=entry.child.ready["rss_after_load_bytes"],
        overhead_s=around.overhead_s,
        yardstick_s=around.yardstick_s,
        outliers=stats.outliers(samples),
        noisy=noise.noisy,
        spread=noise.spread,
        drift=noise.drift,
        foreign_share=around.foreign_share,
        ratio_to_reference=None if ratio is None else ratio.value,
        ratio_interval=None if ratio is None else (ratio.low, ratio.high),
        verdict=None if verdict is None else verdict.value,
        warnings=(*entry.warnings, *noise.warnings),
    )


def _grouping(
    entry: Entry, group: list[Entry], reference: str | None, groups: int, available: int | None
) -> str:
    room = f"{(available or 0) / 1e9:.1f} GB free"
    if entry.name != reference and group[0].name != reference:
        return f"measured alone, not beside the reference: both do not fit in {room}; free memory"
    return (
        f"measured in {groups} groups, each with the reference: all do not fit in {room}; "
        "ratios are within the group"
    )


def _fresh(entry: Entry) -> Entry:
    return Entry(entry.name, entry.path, entry.feeds, entry.bytes)


def _yardstick(folder: Path) -> Entry:
    path, feeds = write_yardstick(folder)
    return Entry(YARDSTICK, path, feeds, size_of(model_files(path)))
