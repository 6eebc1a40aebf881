"""Seeded random feeds for a model of which nothing but its declared inputs is known."""

from __future__ import annotations

import itertools

import numpy as np
from onnxruntime import RunOptions

from calibration.feedset import FeedLabel, FeedSet
from vampnet_models.errors import InputError
from vampnet_models.session import Array, Feeds, Session
from vampnet_models.spec import ModelSpec, TensorSpec

SIZES = (16, 64, 256, 1024, 7680, 44_100)
"""Tried in this order for symbolic dimensions, until the model runs."""

INTEGERS_BELOW = (1024, 256, 32, 2)
"""Tried in this order: the largest range of integers that the model accepts."""


def generic_feeds(spec: ModelSpec, session: Session, n_feeds: int, seed: int = 0) -> FeedSet:
    """`n_feeds` random feeds of a size with which the model really runs.

    Symbolic first dimensions become 1, all others share one size. Floats are standard normal,
    integers lie in [0, limit), booleans are fair coins. The choice is made by running.

    Raises InputError when no size works or an input has an unsupported type.
    """
    if not spec.inputs:
        return FeedSet(spec.role, ({},), (FeedLabel("no inputs"),), "random", "random")
    reason = ""
    # Refusals are expected here: the runtime need not log each of them.
    quiet = RunOptions()
    quiet.log_severity_level = 4
    for limit, size in itertools.product(INTEGERS_BELOW, SIZES):
        rng = np.random.default_rng(seed)
        feeds = tuple(_draw_feed(spec, size, limit, rng) for _ in range(n_feeds))
        try:
            session.raw.run(None, feeds[0], quiet)
        except Exception as error:  # noqa: BLE001  # the binding has a class per status code
            reason = reason or " ".join(str(error).split())[:200]
            continue
        facts = f"random size {size}, integers below {limit}"
        labels = tuple(FeedLabel(f"random[{i}]") for i in range(n_feeds))
        warning = (
            f"feeds are {facts}: give real inputs with --feeds FILE.npz for figures that count"
        )
        return FeedSet(spec.role, feeds, labels, "random", facts, (warning,))
    raise InputError(f"the model runs with no random input ({reason}); give --feeds FILE.npz")


def _draw_feed(spec: ModelSpec, size: int, limit: int, rng: np.random.Generator) -> Feeds:
    return {tensor.name: _draw(tensor, size, limit, rng) for tensor in spec.inputs}


def _draw(tensor: TensorSpec, size: int, limit: int, rng: np.random.Generator) -> Array:
    shape = tuple(
        d if isinstance(d, int) else (1 if axis == 0 else size)
        for axis, d in enumerate(tensor.shape)
    )
    if tensor.dtype.startswith("float"):
        return rng.standard_normal(shape).astype(tensor.dtype)
    if tensor.dtype == "bool":
        return rng.random(shape) < 0.5
    if tensor.dtype.startswith(("int", "uint")):
        below = min(limit, np.iinfo(tensor.dtype).max)
        return rng.integers(0, below, shape).astype(tensor.dtype)
    raise InputError(f"input {tensor.name} is {tensor.dtype}: give it with --feeds FILE.npz")
