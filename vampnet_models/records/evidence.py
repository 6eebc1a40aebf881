"""What a compiler and emulators say of variants where no device is: qnn.json and arm64.json.

`vampbench qnn -o` writes the one, `bench/machines` both. Nothing here is a speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vampnet_models.records.host import Host
from vampnet_models.records.profiles import Refusal

Measure = Literal["tokens", "si_sdr_db"]
"""Agreement as a share of equal tokens, or as SI-SDR in dB where the output is audio."""


@dataclass(frozen=True)
class Emulated:
    """Outputs of the emulated NPU against others', over all states.

    to_reference: against the FP32 source; `to_variant` against the same file on the CPU.
    variant_to_reference: what the CPU keeps on the same states: the recipe's part of the loss.
    seconds: that each state took to emulate.
    """

    measure: Measure
    to_reference: float
    to_variant: float
    variant_to_reference: float
    n_positions: int
    states: int
    seconds: tuple[float, ...]
    evidence: Literal["emulated"] = "emulated"


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of one variant at these input shapes.

    supported, node_share: nodes that the NPU takes of those that the runtime's optimizer left.
    flops_share: leaves out the refused nodes, found by name; `unnamed` of them are not in the file
        as it was given, and count as nothing.
    not_emulated: why `emulated` is None.
    model, recipe, sha256: of the file, where the benchmark wrote it; None by default.
    """

    soc: str
    input_shapes: dict[str, tuple[int, ...]]
    nodes: int
    supported: int
    node_share: float
    flops: int
    flops_share: float
    partitions: int
    qnn_operators: int
    context_bytes: int
    compile_s: float
    refusals: tuple[Refusal, ...]
    unnamed: int
    emulated: Emulated | None
    not_emulated: str | None
    kind: Literal["compiled"] = "compiled"
    evidence: Literal["compiled"] = "compiled"
    model: str | None = None
    recipe: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class NotRun:
    """A variant that did not compile, or did not run, and why."""

    reason: str
    kind: Literal["failed"] = "failed"
    model: str | None = None
    recipe: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class CompiledFile:
    """The contents of qnn.json.

    variants: by the file's path, or `model/recipe` where the benchmark wrote it.
    reference, reference_sha256: the FP32 source; None where each model has its own.
    compiler, weights: its package and version; the kind of weights.
    """

    command: str
    host: Host
    variants: dict[str, Compiled | NotRun]
    reference: str | None = None
    reference_sha256: str | None = None
    compiler: str | None = None
    weights: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OnArm64:
    """A variant on an emulated ARM64 processor, against x86 and the FP32 source, over all states.

    bit_equal: whether every output is the same as on x86.
    """

    kind: Literal["emulated"] = "emulated"
    evidence: Literal["emulated"] = "emulated"
    model: str
    recipe: str
    sha256: str
    measure: Measure
    bit_equal: bool
    arm_to_x86: float
    arm_to_reference: float
    x86_to_reference: float
    n_positions: int
    frames: int
    states: int
    emulation_s: tuple[float, ...]


@dataclass(frozen=True)
class Arm64File:
    """The contents of arm64.json; `records` are by `model/recipe`."""

    command: str
    weights: str
    qemu: str
    emulated_cpu: str
    versions: dict[str, str]
    host: Host
    records: dict[str, OnArm64 | NotRun]
