"""Kernel times and measured peaks of a profile; None where they were not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vampnet_models.records.profiles import OperatorTimes, Peaks, Profile, Roofline, measured_on
from vampnet_models.records.results import Model

SHOWN_AS_KERNELS = frozenset({"operator_times", "peaks", "roofline"})
"""Fields of a measurement that this module reads."""


@dataclass(frozen=True)
class KernelTimes:
    """Where a median run's time went, against what the machine could do.

    `traced` are of runs of their own, `median_s` and `flops_per_s` of those that were measured
    against the other variants.
    """

    median_s: float
    flops_per_s: float
    traced: OperatorTimes
    peaks: Peaks
    roof: Roofline


def kernel_times(profiles: Mapping[str, Profile]) -> KernelTimes | None:
    """Those on the CPU; None without."""
    cpu = measured_on(profiles, "cpu")
    if cpu is None or cpu.operator_times is None or cpu.peaks is None or cpu.roofline is None:
        return None
    return KernelTimes(
        cpu.median_s, cpu.flops_per_s or 0.0, cpu.operator_times, cpu.peaks, cpu.roofline
    )


def timed_kernels(model: Model) -> dict[str, KernelTimes]:
    """The source's (`FP32 source`) and each variant's on the CPU, those that have them."""
    found = {"FP32 source": kernel_times(model.profiles)}
    found |= {v.recipe: kernel_times(v.profiles) for v in model.variants if v.usable}
    return {name: times for name, times in found.items() if times is not None}
