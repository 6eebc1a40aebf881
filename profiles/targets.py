"""What a variant is profiled for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from profiles.host import affinity, available_cores
from vampnet_models.errors import InputError

MB = 1_000_000
GB = 1000 * MB


class Kind(StrEnum):
    """How a target's numbers come about."""

    CPU = "cpu"
    CUDA = "cuda"
    MOBILE = "mobile"


@dataclass(frozen=True)
class Target:
    """A place to run: `name` is what the user types and the key in results."""

    name: str
    kind: Kind
    provider: str
    threads: int = 0

    @property
    def label(self) -> str:
        """The name with what times depend on: threads and the cores they may use."""
        if self.kind is not Kind.CPU:
            return self.name
        plural = "s" if self.threads != 1 else ""
        return f"cpu, {self.threads} thread{plural}, cores {_spans(affinity())}"


CUDA = Target("cuda", Kind.CUDA, "CUDAExecutionProvider")
MOBILE = Target("mobile", Kind.MOBILE, "")


@dataclass(frozen=True)
class Platform:
    """A kind of phone: which of ONNX Runtime's providers its app can use, first choice first."""

    name: str
    runtimes: tuple[str, ...]


PLATFORMS = (
    Platform("android-cpu", ("cpu", "xnnpack")),
    Platform("android-npu", ("nnapi",)),
    Platform("ios", ("coreml-mlprogram", "coreml-neuralnetwork")),
)


@dataclass(frozen=True)
class StoreLimit:
    """The most that a store takes of one part of an app, as delivered (compressed)."""

    store: str
    part: str
    bytes: int


STORE_LIMITS = (
    StoreLimit("Google Play", "base module", 200 * MB),
    StoreLimit("Google Play", "asset pack", 1500 * MB),
    StoreLimit("Apple App Store", "app", 4 * GB),
)


def cpu(threads: int | None = None) -> Target:
    """The CPU provider; by default with a thread for each core that this process may use."""
    return Target("cpu", Kind.CPU, "CPUExecutionProvider", threads or available_cores())


def parse_targets(text: str) -> tuple[Target, ...]:
    """Read `cpu,cuda,mobile`; `cpu:N` sets the threads. Raises InputError on another word."""
    targets = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        name, _, threads = word.partition(":")
        if name == "cpu" and (not threads or (threads.isdigit() and int(threads) > 0)):
            targets.append(cpu(int(threads) if threads else None))
        elif word == CUDA.name:
            targets.append(CUDA)
        elif word == MOBILE.name:
            targets.append(MOBILE)
        else:
            raise InputError(f"target {word!r}: unknown; use cpu, cpu:THREADS, cuda or mobile")
    if not targets:
        raise InputError("no target was given; use cpu, cpu:THREADS, cuda or mobile")
    if len({t.name for t in targets}) < len(targets):
        raise InputError(f"targets {text!r}: one is named twice; give each once")
    return tuple(targets)


def check_cores(targets: Iterable[Target]) -> None:
    """Raise InputError where a target wants more threads than this process has cores."""
    cores = available_cores()
    for target in targets:
        if target.threads > cores:
            raise InputError(
                f"{target.name}:{target.threads}: {cores} cores are there; use at most cpu:{cores}"
            )


def _spans(cores: tuple[int, ...]) -> str:
    """`(0, 1, 2, 5)` as `0-2,5`."""
    spans: list[list[int]] = []
    for core in cores:
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
