"""Seeded random feeds for a model of which nothing but its declared inputs is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from onnxruntime import RunOptions

from calibration.feeds.feedset import FeedLabel, FeedSet
from vampnet_models.errors import InputError, reason_of
from vampnet_models.onnxfile.session import FATAL, Array, Feeds, Session
from vampnet_models.spec import TENSOR, ModelSpec, TensorSpec

_SIZES = (16, 64, 256, 1024, 7680, 44_100)
"""Tried in this order for symbolic dimensions, until the model runs."""

_INTEGERS_BELOW = (1024, 256, 32, 2)
"""Tried in this order: the largest range of integers that the model accepts."""

_MOST_VALUES = 4_000_000
"""Sizes that give an input more values are not tried: with several such axes no memory holds it."""

_Shapes = Mapping[str, tuple[int, ...]]


def generic_feeds(
    spec: ModelSpec, session: Session, n_feeds: int, seed: int = 0, *, must_run: bool = True
) -> FeedSet:
    """`n_feeds` random feeds of a size with which the model really runs.

    A symbolic first dimension is 1, and so is every other of its name; all others share one size.
    Floats are standard normal, integers lie in [0, limit), booleans are fair coins, strings are
    numbers in words. The choice is made by running; a warning says that feeds are random. Without
    `must_run` the first size is taken where none runs, and the warning says that alone.

    Raises InputError when no size works or an input cannot be drawn: no tensor, or of a type or
    rank that is not known.
    """
    if not spec.inputs:
        return FeedSet(spec.role, ({},), (FeedLabel("no inputs"),), "random", "random")
    for tensor in spec.inputs:
        _check(tensor)
    reason = ""
    # Refusals are expected here: the runtime need not log each of them.
    quiet = RunOptions()
    quiet.log_severity_level = FATAL
    for limit, size in itertools.product(_limits(spec), _sizes(spec)):
        first = _draw_feed(spec, _shapes(spec, size), limit, np.random.default_rng(seed))
        try:
            session.raw.run(None, first, quiet)
        except Exception as error:  # noqa: BLE001  # the binding has a class per status code
            reason = reason or reason_of(error, 200)
            continue
        warning = (
            f"feeds are {_drawn_as(size, limit)}: give real ones (--feeds FILE.npz) for figures "
            "that count"
        )
        return _drawn(spec, size, limit, n_feeds, seed, (warning,) if must_run else ())
    if must_run:
        raise InputError(f"the model runs with no random input ({reason}); give --feeds FILE.npz")
    warning = f"the model runs with no random input ({reason}): give arrays of the sizes it takes"
    return _drawn(spec, _sizes(spec)[0], _limits(spec)[0], n_feeds, seed, (warning,))


def _drawn(
    spec: ModelSpec, size: int, limit: int, n_feeds: int, seed: int, warnings: tuple[str, ...]
) -> FeedSet:
    """`n_feeds` of one size."""
    shapes, rng = _shapes(spec, size), np.random.default_rng(seed)
    feeds = tuple(_draw_feed(spec, shapes, limit, rng) for _ in range(n_feeds))
    labels = tuple(FeedLabel(f"random[{i}]") for i in range(n_feeds))
    return FeedSet(spec.role, feeds, labels, "random", _drawn_as(size, limit), warnings)


def _drawn_as(size: int, limit: int) -> str:
    return f"random, free sizes {size}, integers below {limit}"


def _check(tensor: TensorSpec) -> None:
    """Raise InputError where no input like that can be drawn."""
    if tensor.form != TENSOR:
        raise InputError(
            f"input {tensor.name} is a {tensor.described}: no feed can be made for it; export the "
            "model with tensors as inputs"
        )
    drawn = ("float16", "float32", "float64", "int", "uint", "bool", "string")
    if not tensor.ranked or not tensor.dtype.startswith(drawn):
        raise InputError(f"input {tensor.name} is {tensor.described}: give it as feeds (FILE.npz)")


def _limits(spec: ModelSpec) -> tuple[int, ...]:
    """The ranges of integers to try; one where the model takes no integers."""
    takes = any(tensor.dtype.startswith(("int", "uint")) for tensor in spec.inputs)
    return _INTEGERS_BELOW if takes else _INTEGERS_BELOW[:1]


def _sizes(spec: ModelSpec) -> list[int]:
    """The sizes to try: one where nothing is symbolic, none that gives too many values."""
    free = any(not isinstance(d, int) for tensor in spec.inputs for d in tensor.shape[1:])
    fit = [
        size
        for size in _SIZES
        if max(math.prod(shape) for shape in _shapes(spec, size).values()) <= _MOST_VALUES
    ]
    return (fit or [1]) if free else fit[:1] or [1]


def _shapes(spec: ModelSpec, size: int) -> _Shapes:
    firsts = {t.shape[0] for t in spec.inputs if t.shape and isinstance(t.shape[0], str)}

    def sized(axis: int, dimension: int | str | None) -> int:
        if isinstance(dimension, int):
            return dimension
        return 1 if axis == 0 or dimension in firsts else size

    return {t.name: tuple(sized(i, d) for i, d in enumerate(t.shape)) for t in spec.inputs}


def _draw_feed(spec: ModelSpec, shapes: _Shapes, limit: int, rng: np.random.Generator) -> Feeds:
    return {t.name: _draw(t, shapes[t.name], limit, rng) for t in spec.inputs}


def _draw(
    tensor: TensorSpec, shape: tuple[int, ...], limit: int, rng: np.random.Generator
) -> Array:
    if tensor.dtype.startswith("float"):
        return np.asarray(rng.standard_normal(shape)).astype(tensor.dtype)
    if tensor.dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if tensor.dtype == "string":
        return np.asarray(rng.integers(0, limit, shape)).astype(str)
    below = min(limit, np.iinfo(tensor.dtype).max)
    return np.asarray(rng.integers(0, below, shape)).astype(tensor.dtype)
