"""Kernel times and measured peaks of a profile, typed; None where they were not measured."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.report.views.fields import Record
from profiles.report.views.run import Model, Profile

SHOWN_AS_KERNELS = frozenset({"operator_times", "peaks", "roofline"})
"""Fields of a profile that this module reads."""


@dataclass(frozen=True)
class KernelTime:
    """Kernels of one operator, block or node in a median run."""

    name: str
    calls: int
    seconds: float
    share: float
    flops: float
    integer_flops: float
    bytes: float


@dataclass(frozen=True)
class Peaks:
    """The machine's best measured rates, per second."""

    threads: int
    fp32_flops: float
    int8_ops: float
    copy_bytes: float

    def bound_s(self, kernel: KernelTime) -> float:
        """The least time: all arithmetic at peak, or every tensor moved once, the longer."""
        in_float = (kernel.flops - kernel.integer_flops) / self.fp32_flops
        return max(in_float + kernel.integer_flops / self.int8_ops, kernel.bytes / self.copy_bytes)


@dataclass(frozen=True)
class Roof:
    """The whole model: its bound, and how much of the possible speed it reached."""

    floor_s: float
    efficiency: float
    memory_bound_share: float
    flops_per_byte: float
    flops_per_s: float


@dataclass(frozen=True)
class KernelTimes:
    """Where a median run's time went, against what the machine could do.

    `kernels_s` and `outside_s` are of the traced runs, `median_s` of the runs that were measured
    against the other variants.
    """

    median_s: float
    kernels_s: float
    outside_s: float
    by_operator: tuple[KernelTime, ...]
    by_block: tuple[KernelTime, ...]
    by_node: tuple[KernelTime, ...]
    peaks: Peaks
    roof: Roof


def kernel_times(profile: Profile | None) -> KernelTimes | None:
    """Read a profile's; None for one without. Raises InputError on a field of another type."""
    times = Record({}) if profile is None else profile.extra.record("operator_times")
    if profile is None or not times:
        return None
    peaks, roof = profile.extra.record("peaks"), profile.extra.record("roofline")
    return KernelTimes(
        median_s=profile.median_s or 0.0,
        kernels_s=times.number("kernels_s") or 0.0,
        outside_s=times.number("outside_s") or 0.0,
        by_operator=_rows(times, "by_operator"),
        by_block=_rows(times, "by_block"),
        by_node=_rows(times, "by_node"),
        peaks=Peaks(
            threads=peaks.count("threads") or 0,
            fp32_flops=_need(peaks, "fp32_flops_per_s"),
            int8_ops=_need(peaks, "int8_ops_per_s"),
            copy_bytes=_need(peaks, "copy_bytes_per_s"),
        ),
        roof=Roof(
            floor_s=_need(roof, "floor_s"),
            efficiency=_need(roof, "efficiency"),
            memory_bound_share=roof.number("memory_bound_share") or 0.0,
            flops_per_byte=roof.number("flops_per_byte") or 0.0,
            flops_per_s=profile.extra.number("flops_per_s") or 0.0,
        ),
    )


def timed_kernels(model: Model) -> dict[str, KernelTimes]:
    """The source's (`FP32 source`) and each variant's on the CPU, those that have them."""
    found = {"FP32 source": kernel_times(model.profiles.get("cpu"))}
    found |= {v.recipe: kernel_times(v.profiles.get("cpu")) for v in model.variants if v.usable}
    return {name: times for name, times in found.items() if times is not None}


def _need(record: Record, key: str) -> float:
    value = record.number(key)
    return value or float("nan")


def _rows(times: Record, key: str) -> tuple[KernelTime, ...]:
    return tuple(
        KernelTime(
            name=row.need_text("name"),
            calls=row.count("calls") or 0,
            seconds=row.number("seconds") or 0.0,
            share=row.number("share") or 0.0,
            flops=row.number("flops") or 0.0,
            integer_flops=row.number("integer_flops") or 0.0,
            bytes=row.number("bytes") or 0.0,
        )
        for row in times.records(key)
    )
