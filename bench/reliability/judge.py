"""Right or wrong: a variant's answers beside its source's, by the bounds of each precision.

A variant is right when names, order and types of its inputs and outputs are the source's and its
answers on ONNX Runtime, with graph optimization and without, are within the recipe's bound: the
relative root mean square error of the worst output, and the same values finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vampnet_models.onnxfile.exact import exact_session, is_exact

BOUNDS = {
    "fused": 1e-4,
    "fp16": 2e-2,
    "int8-static": 0.15,
    "int8-dynamic": 0.15,
    "int8-weights": 0.05,
    "int4-weights": 0.5,
}
"""Largest relative RMS error against float32, by recipe."""

_OPTIMIZATIONS = {
    True: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    False: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

Value = Any
"""An array, a list of arrays (a sequence) or None (an optional that is empty)."""

Feed = dict[str, Value]


class Unrunnable(Exception):
    """ONNX Runtime does not open or run a model; the message is its reason."""


class Wrong(Exception):
    """A variant is not what its source is; the message says in what."""


@dataclass(frozen=True)
class Answers:
    """What a model takes and gives by (name, type), and its outputs per feed."""

    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    values: tuple[list[Value], ...]


def answers(path: Path, feeds: Sequence[Feed], optimized: bool = True) -> Answers:
    """Run a model on ONNX Runtime's CPU provider, one thread. Raises Unrunnable."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    for key, value in exact_session().items() if is_exact(path) else ():
        options.add_session_config_entry(key, value)
    options.graph_optimization_level = _OPTIMIZATIONS[optimized]
    quiet = ort.RunOptions()
    quiet.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        known = {each.name for each in session.get_inputs()}
        values = tuple(
            session.run(None, {k: v for k, v in feed.items() if k in known}, quiet)
            for feed in feeds
        )
    except Exception as error:
        # The binding raises a different class per status code, all plain Exceptions.
        raise Unrunnable(" ".join(str(error).split())) from error
    return Answers(
        tuple((each.name, each.type) for each in session.get_inputs()),
        tuple((each.name, each.type) for each in session.get_outputs()),
        values,
    )


def judged(reference: Answers, path: Path, feeds: Sequence[Feed], random: bool) -> float:
    """The worst error of a variant; of a `random` model only types and shapes are compared.

    Raises Unrunnable, and Wrong where an interface, a shape or the finite values differ.
    """
    worst = 0.0
    for optimized in (True, False):
        found = answers(path, feeds, optimized)
        if (found.inputs, found.outputs) != (reference.inputs, reference.outputs):
            ours, theirs = (dict((*a.inputs, *a.outputs)).items() for a in (found, reference))
            changed = sorted({f"{n}: {t}" for n, t in ours ^ theirs}) or ["the order"]
            raise Wrong(f"the interface changed: {', '.join(changed)[:160]}")
        for before, after in zip(reference.values, found.values, strict=True):
            for x, y in zip(before, after, strict=True):
                worst = max(worst, difference(x, y, random))
    return worst


def difference(x: Value, y: Value, random: bool = False) -> float:
    """Relative RMS of two outputs; the share of values that differ where they are no numbers.

    Raises Wrong where shapes or finite values differ.
    """
    if isinstance(x, list) and isinstance(y, list):
        if len(x) != len(y):
            raise Wrong(f"a sequence of {len(x)} became one of {len(y)}")
        return max((difference(a, b, random) for a, b in zip(x, y, strict=True)), default=0.0)
    if x is None or y is None:
        if x is not y:
            raise Wrong("an optional that was empty is not, or the other way round")
        return 0.0
    one, other = np.asarray(x), np.asarray(y)
    if one.shape != other.shape:
        raise Wrong(f"shape {list(one.shape)} became {list(other.shape)}")
    if random or one.size == 0:
        return 0.0
    if one.dtype.kind not in "fiub":
        return float(np.mean(one != other))
    return _relative_rms(one.astype(np.float64), other.astype(np.float64))


def _relative_rms(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    fine = np.isfinite(x)
    infinite = np.isinf(x)
    changed = int((np.isfinite(y) != fine).sum())
    if changed or (x[infinite] != y[infinite]).any():
        raise Wrong(f"{changed} of {x.size} values are no longer finite, or infinities changed")
    if not fine.any():
        return 0.0
    scale = float(np.sqrt(np.mean(x[fine] ** 2))) or 1.0
    return float(np.sqrt(np.mean((x[fine] - y[fine]) ** 2))) / scale
