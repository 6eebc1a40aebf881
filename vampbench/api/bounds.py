"""What a caller gives, held to its type, and numbers to the bounds of the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from inspect import Signature, signature
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from profiles.host import available_cores
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.text import a_type

FEWEST_ROUNDS, MOST_ROUNDS = 3, 10_000
"""Timed runs: fewer say nothing, more than these nobody waits for."""

LEAST_CLIP_S, MOST_CLIP_S = 1.0, 60.0
"""Of a clip: less holds too few tokens, more takes the memory of many."""

MOST_STEPS = 10_000
"""Of what else is repeated."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_KINDS: dict[object, str] = {
    str: "text",
    Path: "a path",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    Callable: "a function of (text, done, total)",
    Artifact: "a model of `open_models`",
    Iterable: "several",
    Mapping: "a mapping",
    Sequence: "several",
}
"""What a type is for a caller."""

_ASKED = {
    "model": "one of `open_models`, or an .onnx file's path",
    "recipe": "a name, or a Recipe",
    "recipes": "names, or words with commas",
    "targets": "words with commas",
}
"""What parameters ask for, where their types do not tell."""


def check_within(
    name: str,
    value: float | None,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Raise InputError for what is no number, or lies outside; None is not given.

    With `above`, `low` itself lies outside; with `whole`, a fraction does.
    """
    if value is None:
        return
    if not isinstance(value, Integral if whole else Real):
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name}: is {a_type(value)}; give {kind}")
    if not math.isfinite(value):
        raise InputError(f"{name}: {value} is no finite number")
    if not low <= value <= high or (above and value == low):
        least = f"{low:g}{'<' if above else '<='}x"
        most = f"<={high:g}" if math.isfinite(high) else ""
        raise InputError(f"{name}: {value} is not in the range {least}{most}")


def check_threads(threads: int) -> None:
    """Raise InputError for more threads than this process has cores, or fewer than none."""
    check_within("threads", threads, whole=True)
    cores = available_cores()
    if not 0 <= threads <= cores:
        raise InputError(f"{threads} threads: {cores} cores are there; give 0 to {cores}")


def typed(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, which raises InputError for an argument of another type than it takes.

    What a signature does not bound by classes, as arrays, is left to the function.
    """

    @cache
    def taken() -> Signature:
        # At the first call: a command shall not pay for the signatures of all others.
        return signature(function, eval_str=True)

    @wraps(function)
    def checking(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            given = taken().bind(*args, **kwargs)
        except TypeError:
            # Python's own words for a call that does not fit name the function.
            return function(*args, **kwargs)
        for name, value in given.arguments.items():
            _check_type(name, value, given.signature.parameters[name].annotation)
        return function(*args, **kwargs)

    return checking


def _check_type(name: str, value: object, hint: Any) -> None:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    fits = [_fits(value, each) for each in members]
    if None in fits:
        return
    if not any(fits):
        chosen = isinstance(value, str) and any(get_origin(each) is Literal for each in members)
        what = repr(value) if chosen else a_type(value)
        raise InputError(f"{name}: is {what}; give {_ASKED.get(name) or _words(members)}")
    # What one type or another holds is known to who reads it; an iterator is read once, there.
    if len(members) == 1 and isinstance(value, list | tuple):
        for each in value:
            _check_type(name, each, *get_args(hint))


def _fits(value: object, hint: Any) -> bool | None:
    """Whether a value is of a type; None where no class bounds it."""
    kind = get_origin(hint) or hint
    if kind is Literal:
        return value in get_args(hint)
    if not isinstance(kind, type):
        return None
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real)
    # Text is an iterable of letters too, which nobody means.
    return isinstance(value, kind) and (kind is str or not isinstance(value, str))


def _words(members: tuple[Any, ...]) -> str:
    """What to give, a word or two for each type."""
    said: list[str] = []
    for hint in members:
        kind = get_origin(hint) or hint
        if kind is NoneType or (kind is str and Path in members):
            continue
        if kind is Literal:
            said += map(str, get_args(hint))
        else:
            said.append(_KINDS.get(kind, f"a {kind.__name__}"))
    *first, last = dict.fromkeys(said)
    return f"{', '.join(first)} or {last}" if first else last
