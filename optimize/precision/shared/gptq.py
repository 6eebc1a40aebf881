"""GPTQ: rounding that makes up for its own error, with the second moments of the inputs.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers" (2022). Rows are rounded one after another, those of the strongest inputs
first; what rounding a row costs is taken out of the rows still to come, as far as inputs that go
together allow. Scales are fixed beforehand, so that the order needs no index in the graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from optimize.precision.shared.quantize import Floats

_DAMPING = 0.01
"""Share of the mean diagonal that is added to it, the paper's."""

_BATCH_ROWS = 128
"""Rows after which the later ones are updated in one product."""


@dataclass(frozen=True)
class Factor:
    """What the second moments of inputs say of rounding.

    `order` is that of the rows, int64 `[rows]`; `upper` the upper Cholesky factor of the inverse of
    the damped moments in that order, float32 `[rows, rows]`.
    """

    order: NDArray[np.int64]
    upper: Floats


def factor_of(moments: NDArray[np.float64]) -> Factor:
    """The factor of X^T X, `[rows, rows]`, of the inputs X `[positions, rows]`."""
    order = np.argsort(-np.diagonal(moments), kind="stable")
    damped = moments[np.ix_(order, order)]
    diagonal = np.diagonal(damped).copy()
    mean = float(diagonal.mean())
    # Inputs that never occur tell nothing: any positive value keeps the matrix regular.
    diagonal[diagonal == 0] = mean if mean > 0 else 1.0
    np.fill_diagonal(damped, diagonal + _DAMPING * mean)
    upper: Floats = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)
    return Factor(order, upper)


def error_compensated(
    weight: Floats,
    factor: Factor,
    scales: Floats,
    zeros: NDArray[np.uint8],
    block: int,
    bits: int,
) -> Floats:
    """The matrix `[rows, columns]` of values `scale * (integer - zero)` that GPTQ chooses.

    `scales` and `zeros` are `[blocks, columns]` for blocks of `block` rows, integers lie in
    [0, 2**bits). Rows whose input was always 0 are rounded to nearest.
    """
    n_rows, n_columns = weight.shape
    order, upper = factor.order, factor.upper
    rest = weight[order].astype(np.float32)
    chosen = np.empty((n_rows, n_columns), np.float32)
    top = np.float32(2**bits - 1)
    for first in range(0, n_rows, _BATCH_ROWS):
        last = min(first + _BATCH_ROWS, n_rows)
        errors = np.empty((last - first, n_columns), np.float32)
        for i in range(first, last):
            scale = scales[order[i] // block]
            zero = zeros[order[i] // block].astype(np.float32)
            values = (np.clip(np.rint(rest[i] / scale) + zero, 0, top) - zero) * scale
            chosen[order[i]] = values
            errors[i - first] = (rest[i] - values) / upper[i, i]
            rest[i + 1 : last] -= np.outer(upper[i, i + 1 : last], errors[i - first])
        rest[last:] -= upper[first:last, last:].T @ errors
    return chosen


def expected_error(factor: Factor, scales: Floats, block: int) -> float:
    """The squared error of a product, over all positions, that GPTQ is to leave: no rounding yet.

    A row's rounding errors are as good as evenly spread over a step, and of them stays what the
    rows after it cannot make up for: 1 / upper[i, i]^2 of their square.
    """
    steps = np.square(scales, dtype=np.float64).sum(axis=1) / 12
    left = 1 / np.square(np.diagonal(factor.upper), dtype=np.float64)
    return float((steps[factor.order // block] * left).sum())


class SharedMoments:
    """Which products are rounded together, once the moments of all that they read are known.

    `readers` are the products by the name of the activation that they read.
    """

    def __init__(self, readers: Mapping[str, Collection[ir.Node]]) -> None:
        self._readers = readers
        names: dict[ir.Value | None, set[str]] = defaultdict(set)
        for name, nodes in readers.items():
            for node in nodes:
                names[node.inputs[1]].add(name)
        self._missing = {value: found for value, found in names.items() if len(found) > 1}
        self._sums: dict[ir.Value | None, NDArray[np.float64]] = {}

    def complete(
        self, name: str, moments: NDArray[np.float64]
    ) -> Iterator[tuple[list[ir.Node], NDArray[np.float64]]]:
        """The groups that the moments of this activation complete, and the moments to use.

        The products of one activation alone are a group; so are all that read one shared weight.
        """
        own = [node for node in self._readers[name] if node.inputs[1] not in self._missing]
        if own:
            yield own, moments
        for value in dict.fromkeys(node.inputs[1] for node in self._readers[name]):
            missing = self._missing.get(value)
            if missing is None:
                continue
            missing.discard(name)
            known = self._sums.get(value)
            self._sums[value] = moments if known is None else known + moments
            if not missing:
                every = [n for nodes in self._readers.values() for n in nodes]
                yield [n for n in every if n.inputs[1] is value], self._sums.pop(value)
