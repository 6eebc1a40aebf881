"""Published figures of phones' processors, read from devices.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

_LANES = {"float32": 4, "float16": 8, "int8": 16}
"""Multiply-accumulates of one 128-bit vector pipe in one cycle."""


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind."""

    cores: int
    ghz: float
    pipes: int


@dataclass(frozen=True)
class Device:
    """One phone processor; peaks follow from its clusters."""

    name: str
    platform: str
    memory_gb: float
    memory_gb_per_s: float
    clusters: tuple[Cluster, ...]
    source: str
    confidence: str

    def peak_ops_per_s(self, precision: str) -> float:
        """Operations (2 per multiply-accumulate) of all listed cores; unknown ones as float32."""
        lanes = _LANES.get(precision, _LANES["float32"])
        return sum(c.cores * c.ghz * 1e9 * c.pipes * lanes * 2 for c in self.clusters)


@cache
def devices() -> tuple[Device, ...]:
    """All devices in the file's order."""
    text = (resources.files("profiles.targets") / "devices.toml").read_text(encoding="utf-8")
    return parse_devices(text)


def parse_devices(text: str) -> tuple[Device, ...]:
    """Read the file's text. Raises TypeError where a device lacks a figure or has another one."""
    return tuple(
        Device(**(entry | {"clusters": tuple(Cluster(**c) for c in entry["clusters"])}))
        for entry in tomllib.loads(text)["device"]
    )
