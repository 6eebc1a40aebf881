"""Mobile, without a phone: sizes that are facts, coverage from tables, times that are estimates."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from profiles.count.coverage import Coverage, coverage
from profiles.count.examine import Examined
from profiles.count.packaging import UNFOLDED, Packaging, package
from profiles.count.runtimes import RUNTIMES, source, supports
from profiles.targets.contract import Profiler, Request, Target
from profiles.targets.examined import examine_each

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


@dataclass(frozen=True)
class _Estimate:
    """A range of times on one device; never a measurement.

    `needs_bytes` is the model as it lies in the file and the tensors of its widest node;
    `fits_memory` says whether `_APP_SHARE` of the device's memory holds it.
    """

    device: str
    platform: str
    low_s: float
    high_s: float
    memory_share: float
    needs_bytes: int
    fits_memory: bool
    confidence: str
    source: str
    kind: Literal["estimate"] = "estimate"


@dataclass(frozen=True)
class _MobileProfile:
    """One variant on `phones`: packaging is fact, coverage is from tables, times are estimated."""

    phones: tuple[Target, ...]
    packaging: Packaging
    coverages: tuple[Coverage, ...]
    estimates: tuple[_Estimate, ...]
    notes: tuple[str, ...]
    kind: Literal["estimate"] = "estimate"

    def as_json(self) -> dict[str, Any]:
        """The record of results.json."""
        lows, highs = [e.low_s for e in self.estimates], [e.high_s for e in self.estimates]
        return {
            "kind": self.kind,
            "low_s": min(lows, default=None),
            "high_s": max(highs, default=None),
            "assumptions": list(_ASSUMPTIONS),
            "devices": [vars(e) for e in self.estimates],
            **self.packaging.as_json(),
            "coverage": {
                c.runtime: c.as_json() | {"source": source(c.runtime)} for c in self.coverages
            },
            "platforms": self._platforms(),
            "notes": list(self.notes),
        }

    def _platforms(self) -> list[dict[str, Any]]:
        """For each kind of phone, the provider that takes the most of the arithmetic."""
        by_runtime = {c.runtime: c for c in self.coverages}
        rows = []
        for phone in self.phones:
            best = max((by_runtime[r] for r in phone.runtimes), key=lambda c: c.flops_share)
            rows.append(
                {
                    "platform": phone.name,
                    "runtime": best.runtime,
                    "node_share": best.node_share,
                    "flops_share": best.flops_share,
                    "partitions": best.partitions,
                }
            )
        return rows


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


def _profile_mobile(examined: Examined, phones: tuple[Target, ...]) -> _MobileProfile:
    """Everything that can be told about this variant on phones without one."""
    covered = tuple(coverage(examined, runtime, supports(runtime)) for runtime in RUNTIMES)
    limits = tuple(dict.fromkeys(limit for phone in phones for limit in phone.stores))
    packaging = package(examined.files, examined.bytes, limits)
    by_runtime = {c.runtime: c for c in covered}
    own = [note for phone in phones for note in phone.notes(examined, by_runtime)]
    return _MobileProfile(
        phones=phones,
        packaging=packaging,
        coverages=covered,
        estimates=tuple(_estimate(examined, device) for device in _devices()),
        notes=(*_notes(examined, packaging), *own),
    )


def _estimate(examined: Examined, device: _Device) -> _Estimate:
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
    return _Estimate(
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


def _notes(examined: Examined, packaging: Packaging) -> tuple[str, ...]:
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
    if packaging.ort.bytes is not None and packaging.ort.bytes > UNFOLDED * packaging.bytes:
        notes.append(
            "the ORT-format file made on this machine is larger than the model: a processor "
            "without kernels for its types unfolds them to FP32; ship the .onnx file, or convert "
            "on the phone's kind of processor"
        )
    return tuple(notes)


def _profile(request: Request) -> dict[str, dict[str, Any]]:
    return examine_each(request, lambda e: _profile_mobile(e, request.targets).as_json())


MOBILE = Profiler(
    name="mobile",
    title="Mobile",
    profile=_profile,
    remedy="run: vampbench profile MODEL... --target mobile",
)
"""All phones at once: one estimate holds the figures of each."""
