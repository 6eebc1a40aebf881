"""What a variant is profiled for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from profiles.host import affinity, available_cores
from vampnet_models.errors import InputError

MB = 1_000_000
_GB = 1000 * MB


class Kind(StrEnum):
    """How a target's numbers come about."""

    CPU = "cpu"
    CUDA = "cuda"
    _MOBILE = "mobile"


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


@dataclass(frozen=True)
class Place:
    """Where models ship to. `name` is what the user types, and the word of every text.

    `provider` is ONNX Runtime's that they are meant to run on; `runtimes` are those whose operator
    tables say what a phone takes, first choice first. `transformers` and `codec` are the recipes
    that a bundle has where no run was given. `takes_ort`: whether ORT-format files help there.
    """

    name: str
    provider: str
    transformers: str
    codec: str
    runtimes: tuple[str, ...] = ()
    takes_ort: bool = False

    @property
    def is_phone(self) -> bool:
        """Whether it belongs to the group `mobile`."""
        return bool(self.runtimes)


ANDROID = "android"
ANDROID_NPU = "android-npu"
IOS = "ios"

PLACES = (
    Place("cpu", "CPUExecutionProvider", "int8-dynamic", "fp16", takes_ort=True),
    Place("cuda", "CUDAExecutionProvider", "fp16", "fp16"),
    Place(
        ANDROID,
        "CPUExecutionProvider",
        "int8-dynamic",
        "fp16",
        runtimes=("cpu", "xnnpack"),
        takes_ort=True,
    ),
    Place(ANDROID_NPU, "QNNExecutionProvider", "npu-a16w8", "fp16", runtimes=("nnapi",)),
    Place(
        IOS,
        "CoreMLExecutionProvider",
        "coreml-fp16",
        "coreml-fp16",
        runtimes=("coreml-mlprogram", "coreml-neuralnetwork"),
        takes_ort=True,
    ),
)
"""FP16 keeps the codec's codes. CUDA and an NPU's compiler want the .onnx file."""

PHONES = tuple(place for place in PLACES if place.is_phone)


def place(name: str) -> Place:
    """The place of this name. Raises InputError that lists them all."""
    for each in PLACES:
        if each.name == name:
            return each
    raise InputError(f"target {name!r}: unknown; use {', '.join(p.name for p in PLACES)}")


@dataclass(frozen=True)
class _StoreLimit:
    """The most that a store takes of one part of an app, as delivered (compressed)."""

    store: str
    part: str
    bytes: int


STORE_LIMITS = (
    _StoreLimit("Google Play", "base module", 200 * MB),
    _StoreLimit("Google Play", "asset pack", 1500 * MB),
    _StoreLimit("Apple App Store", "app", 4 * _GB),
)


CUDA = Target("cuda", Kind.CUDA, place("cuda").provider)
_MOBILE = Target("mobile", Kind._MOBILE, "")
"""All phones at once: one estimate holds the figures of each."""

_WORDS = f"cpu, cpu:THREADS, cuda, or mobile (the group of {', '.join(p.name for p in PHONES)})"
"""What a user may measure or estimate."""


def cpu(threads: int | None = None) -> Target:
    """The CPU provider; by default with a thread for each core that this process may use."""
    return Target("cpu", Kind.CPU, place("cpu").provider, threads or available_cores())


def parse_targets(text: str) -> tuple[Target, ...]:
    """Read `cpu,cuda,mobile`; `cpu:N` sets the threads, a phone's name stands for its group.

    Raises InputError on another word.
    """
    targets: list[Target] = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        name, _, threads = word.partition(":")
        if name == "cpu" and (not threads or (threads.isdigit() and int(threads) > 0)):
            targets.append(cpu(int(threads) if threads else None))
        elif word == CUDA.name:
            targets.append(CUDA)
        elif word == _MOBILE.name:
            targets.append(_MOBILE)
        elif any(word == phone.name for phone in PHONES):
            if _MOBILE not in targets:
                targets.append(_MOBILE)
        else:
            raise InputError(f"target {word!r}: unknown; use {_WORDS}")
    if not targets:
        raise InputError(f"no target was given; use {_WORDS}")
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
