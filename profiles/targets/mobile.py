"""Mobile, without a phone: sizes that are facts, coverage from tables, times that are estimates."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from profiles.count.coverage import coverage
from profiles.count.examine import Examined
from profiles.count.packaging import UNFOLDED, store_fit, to_ort, zipped_size
from profiles.count.runtimes import RUNTIMES, source, supports
from profiles.targets.contract import Profiler, Request, Target
from profiles.targets.examined import examine_each
from vampnet_models.records.profiles import (
    DeviceEstimate,
    Estimate,
    PlatformChoice,
    Profile,
    RuntimeCoverage,
)

_EFFICIENCY = (0.25, 1.3)
"""Share of the roofline bound that a whole model reaches.

Measured with the CPU provider on two x86 cores with AVX-512 (`bench/efficiency.py`, the raw results
in bench/results/efficiency.json): 0.43 to 1.31 over the quiet measurements, FP32 and INT8. The
decoder is lowest (0.43 to 0.48, its sines cost more than their FLOPs), the encoder 0.93 to 0.95,
the transformers 0.80 to 1.31, small and full-size alike: above 1 because caches keep tensors that
the bound sends to memory. The lower end here is below what was measured: a phone throttles and
shares its memory bus, by how much nobody measured.
"""

_APP_SHARE = 0.5
"""Of a phone's memory that one app may hold before the system ends it; iOS allows about half."""

_ASSUMPTIONS = (
    "each node takes the longer of FLOPs over peak and bytes over memory bandwidth (Williams, "
    "Waterman and Patterson, 2009), every tensor going to memory and back, with no overlap",
    f"a whole model reaches {_EFFICIENCY[0]:.0%} to {_EFFICIENCY[1]:.0%} of that bound: 43 % to "
    "131 % were measured on x86 (over 100 %: caches keep what the bound sends to memory)",
    "FP16 and INT8 operators run in kernels of their own type",
    "four threads on the fastest cores, at their full clock: no throttling",
    "the default CPU provider; no time is claimed for NPUs and GPUs",
    f"an app may hold {_APP_SHARE:.0%} of the memory; a runtime that unpacks weights needs more",
    "device figures are published or derived ones, see devices.toml",
)


_LANES = {"float32": 4, "float16": 8, "int8": 16}
"""Multiply-accumulates of one 128-bit vector pipe in one cycle."""


@dataclass(frozen=True)
class _Cluster:
    """Cores of one kind."""

    cores: int
    ghz: float
    pipes: int


@dataclass(frozen=True)
class _Device:
    """One phone processor; peaks follow from its clusters."""

    name: str
    platform: str
    memory_gb: float
    memory_gb_per_s: float
    clusters: tuple[_Cluster, ...]
    source: str
    confidence: str

    def peak_ops_per_s(self, precision: str) -> float:
        """Operations (2 per multiply-accumulate) of all listed cores; unknown ones as float32."""
        lanes = _LANES.get(precision, _LANES["float32"])
        return sum(c.cores * c.ghz * 1e9 * c.pipes * lanes * 2 for c in self.clusters)


@cache
def _devices() -> tuple[_Device, ...]:
    """All devices of devices.toml, in its order."""
    text = (resources.files("profiles.targets") / "devices.toml").read_text(encoding="utf-8")
    return _parse_devices(text)


def _parse_devices(text: str) -> tuple[_Device, ...]:
    """Read the file's text. Raises TypeError where a device lacks a figure or has another one."""
    return tuple(
        _Device(**(entry | {"clusters": tuple(_Cluster(**c) for c in entry["clusters"])}))
        for entry in tomllib.loads(text)["device"]
    )


def _profile_mobile(examined: Examined, phones: tuple[Target, ...]) -> Estimate:
    """Everything that can be told about this variant on phones without one."""
    covered = {
        runtime: replace(coverage(examined, runtime, supports(runtime)), source=source(runtime))
        for runtime in RUNTIMES
    }
    limits = tuple(dict.fromkeys(limit for phone in phones for limit in phone.stores))
    zipped, ort = zipped_size(examined.files), to_ort(examined.files, examined.bytes)
    devices = tuple(_estimate(examined, device) for device in _devices())
    own = [note for phone in phones for note in phone.notes(examined, covered)]
    return Estimate(
        low_s=min((each.low_s for each in devices), default=None),
        high_s=max((each.high_s for each in devices), default=None),
        assumptions=_ASSUMPTIONS,
        devices=devices,
        bytes=examined.bytes,
        zipped_bytes=zipped.bytes,
        zipped_exact=zipped.exact,
        ort_bytes=ort.bytes,
        ort_reason=ort.reason,
        required_operators=ort.operators,
        stores=store_fit(zipped.bytes, limits),
        coverage=covered,
        platforms=tuple(_platform(phone, covered) for phone in phones if phone.runtimes),
        notes=(*_notes(examined, ort.bytes), *own),
    )


def _platform(phone: Target, covered: Mapping[str, RuntimeCoverage]) -> PlatformChoice:
    """The phone's runtime that takes the most of the arithmetic."""
    best = max((covered[r] for r in phone.runtimes), key=lambda c: c.flops_share)
    return PlatformChoice(
        phone.name, best.runtime, best.node_share, best.flops_share, best.partitions
    )


def _estimate(examined: Examined, device: _Device) -> DeviceEstimate:
    """The roofline range of one run at the examined input shapes on this device's CPU."""
    bandwidth = device.memory_gb_per_s * 1e9
    bound_s = memory_s = 0.0
    for node in examined.cost.nodes:
        compute_s = node.flops / device.peak_ops_per_s(node.precision)
        traffic_s = node.bytes / bandwidth
        bound_s += max(compute_s, traffic_s)
        memory_s += traffic_s if traffic_s > compute_s else 0.0
    low, high = _EFFICIENCY
    widest = max((node.bytes - node.weight_bytes for node in examined.cost.nodes), default=0)
    needs = examined.bytes + widest
    return DeviceEstimate(
        device=device.name,
        platform=device.platform,
        low_s=bound_s / high,
        high_s=bound_s / low,
        memory_share=memory_s / bound_s if bound_s else 0.0,
        needs_bytes=needs,
        fits_memory=needs <= _APP_SHARE * device.memory_gb * 1e9,
        confidence=device.confidence,
        source=device.source,
    )


def _notes(examined: Examined, ort_bytes: int | None) -> tuple[str, ...]:
    """What every phone makes of this variant."""
    notes = []
    dynamic = [
        value.name
        for value in examined.model.graph.inputs
        if value.shape is not None and any(not isinstance(d, int) for d in value.shape)
    ]
    if dynamic:
        notes.append(
            "NNAPI and CoreML want fixed shapes: coverage counts as if the lengths were fixed "
            "(onnxruntime.tools.make_dynamic_shape_fixed)"
        )
    if examined.cost.unresolved:
        notes.append(
            f"{len(examined.cost.unresolved)} nodes have shapes that only a run can tell; they "
            "are missing from FLOPs and times"
        )
    if ort_bytes is not None and ort_bytes > UNFOLDED * examined.bytes:
        notes.append(
            "the ORT-format file made on this machine is larger than the model: a processor "
            "without kernels for its types unfolds them to FP32; ship the .onnx file, or convert "
            "on the phone's kind of processor"
        )
    return tuple(notes)


def _profile(request: Request) -> dict[str, Profile]:
    return examine_each(request, lambda e: _profile_mobile(e, request.targets))


MOBILE = Profiler(
    name="mobile",
    title="Mobile",
    profile=_profile,
    remedy="run: vampbench profile MODEL... --target mobile",
)
"""All phones at once: one estimate holds the figures of each."""
