"""The one list of targets, and what a user may measure or estimate of them."""

from __future__ import annotations

from collections.abc import Iterable

from profiles.count.packaging import StoreLimit
from profiles.host import available_cores
from profiles.measure.measure import harness_overhead_s
from profiles.place import Place
from profiles.targets.android import ANDROID
from profiles.targets.android_npu import ANDROID_NPU
from profiles.targets.contract import Profiler, Target
from profiles.targets.cpu import CPU
from profiles.targets.cpu_native import CPU_NATIVE
from profiles.targets.cuda import CUDA
from profiles.targets.ios import IOS
from vampnet_models.errors import InputError
from vampnet_models.text import a_type

TARGETS = (CPU, CPU_NATIVE, CUDA, ANDROID, ANDROID_NPU, IOS)
"""In the order of every list that people see."""


def find_target(name: str) -> Target:
    """The target of this name. Raises InputError that lists them all."""
    for each in TARGETS:
        if each.name == name:
            return each
    raise InputError(f"target {name!r}: unknown; use {', '.join(t.name for t in TARGETS)}")


def profilers() -> tuple[Profiler, ...]:
    """Each way to figures once, in the order of the targets."""
    return tuple({t.profiler.name: t.profiler for t in TARGETS}.values())


def sharing(profiler: Profiler) -> tuple[Target, ...]:
    """The targets whose figures come about in this way."""
    return tuple(t for t in TARGETS if t.profiler.name == profiler.name)


def targets_at(places: Iterable[Place]) -> tuple[str, ...]:
    """The names of the targets whose figures come about at these places."""
    names = {place.name for place in places}
    return tuple(t.name for t in TARGETS if t.profiler.name in names)


def store_limits() -> tuple[StoreLimit, ...]:
    """Those of all targets, each once."""
    return tuple(dict.fromkeys(limit for target in TARGETS for limit in target.stores))


def timed_targets() -> tuple[Target, ...]:
    """Those that a provider of the runtime times, each as itself."""
    return tuple(t for t in TARGETS if t.profiler.provider)


def find_timed(name: str) -> tuple[Target, Place]:
    """The target of this name, and the place where it is timed here.

    Raises InputError where nothing times it, this onnxruntime has no provider of it, or that has
    no device.
    """
    for each in timed_targets():
        if each.name == name:
            break
    else:
        names = ", ".join(t.name for t in timed_targets())
        raise InputError(f"target {name!r}: nothing is timed there; use one of {names}")
    # Reports and overviews read the list without a runtime.
    import onnxruntime as ort

    if each.provider not in ort.get_available_providers():
        raise InputError(
            f"target {name}: this onnxruntime {ort.__version__} has no {each.provider}; use an "
            f"environment and a machine that have it (make env-{name})"
        )
    (place,) = parse_targets(name)
    if each.provider != CPU.provider:
        harness_overhead_s(place)
    return each, place


def profiled_words() -> str:
    """What a user may measure or estimate: `cpu, cuda, mobile (the group of ...)`."""
    return ", ".join(_word(each) for each in profilers())


def parse_targets(text: str) -> tuple[Place, ...]:
    """Read `cpu,cuda,mobile`; `cpu:N` sets the threads, a phone's name stands for its group.

    Raises InputError on another word.
    """
    if not isinstance(text, str):
        raise InputError(f"targets: is {a_type(text)}; give words with commas: {_choices()}")
    places: list[Place] = []
    words: list[str] = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        name, colon, threads = word.partition(":")
        profiler = _profiler_of(name)
        counted = bool(colon) and profiler is not None and profiler.takes_threads
        if profiler is None or (colon and not (counted and threads.isdigit() and int(threads))):
            raise InputError(f"target {word!r}: unknown; use {_choices()}")
        if name != profiler.name and profiler.name in words:
            continue
        words.append(profiler.name)
        n_threads = available_cores() if profiler.takes_threads else 0
        places.append(Place(profiler.name, profiler.provider, int(threads or n_threads)))
    if not places:
        raise InputError(f"no target was given; use {_choices()}")
    if len(set(words)) < len(words):
        raise InputError(f"targets {text!r}: one is named twice; give each once")
    return tuple(places)


def check_cores(places: Iterable[Place]) -> None:
    """Raise InputError where one wants more threads than this process has cores."""
    cores = available_cores()
    for place in places:
        if place.threads > cores:
            raise InputError(
                f"{place.name}:{place.threads}: {cores} cores are there; "
                f"use at most {place.name}:{cores}"
            )


def _profiler_of(word: str) -> Profiler | None:
    """That of a group or a target of this name."""
    named = {t.name: t.profiler for t in TARGETS} | {p.name: p for p in profilers()}
    return named.get(word)


def _choices() -> str:
    """The words, with threads."""
    words = [w for p in profilers() for w in (_word(p), f"{p.name}:THREADS")[: 1 + p.takes_threads]]
    return ", ".join(words[:-1]) + f" or {words[-1]}"


def _word(profiler: Profiler) -> str:
    members = ", ".join(t.name for t in sharing(profiler) if t.name != profiler.name)
    return f"{profiler.name} (the group of {members})" if members else profiler.name
