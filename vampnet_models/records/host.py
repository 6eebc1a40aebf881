"""The machine that numbers belong to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Host:
    """Facts about a machine; None where the system does not tell, or a file did not note it.

    cpu: the processor's name; `flags` are those that choose the runtime's kernels.
    cores: that the process could use: its affinity, cut by `quota_cores`, the container's.
    load_1min: runnable processes over the last minute.
    memory_bytes, memory_available_bytes: for this process, the container's limit respected.
    os: the system and the architecture; `versions` are those of the packages that matter.
    """

    cpu: str | None = None
    flags: tuple[str, ...] = ()
    cores: int | None = None
    cores_machine: int | None = None
    quota_cores: float | None = None
    governor: str | None = None
    virtual: bool | None = None
    load_1min: float | None = None
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    os: str | None = None
    python: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def saturates(self) -> bool:
        """Whether sums of 8-bit products are cut to 16 bits: x86 with AVX2 and without VNNI."""
        return "avx2" in self.flags and not {"avx_vnni", "avx512_vnni"} & set(self.flags)
