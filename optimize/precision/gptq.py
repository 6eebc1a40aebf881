"""GPTQ: rounding that makes up for its own error, with the second moments of the inputs.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers" (2022). Rows are rounded one after another, those of the strongest inputs
first; what rounding a row costs is taken out of the rows still to come, as far as inputs that go
together allow. Scales are fixed beforehand, so that the order needs no index in the graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.precision.quantize import Bits, Floats

DAMPING = 0.01
"""Share of the mean diagonal that is added to it, the paper's."""

BATCH_ROWS = 128
"""Rows after which the later ones are updated in one product."""


def error_compensated(
    weight: Floats,
    moments: NDArray[np.float64],
    scales: Floats,
    zeros: NDArray[np.uint8],
    block: int,
    bits: Bits,
) -> Floats:
    """The matrix `[rows, columns]` of values `scale * (integer - zero)` that GPTQ chooses.

    `moments` is X^T X, `[rows, rows]`, of the inputs X `[positions, rows]`; `scales` and `zeros`
    are `[blocks, columns]` for blocks of `block` rows, integers lie in [0, 2**bits). Rows whose
    input was always 0 are rounded to nearest.
    """
    n_rows, n_columns = weight.shape
    order = np.argsort(-np.diagonal(moments), kind="stable")
    upper = _inverse_factor(moments, order)
    rest = weight[order].astype(np.float32)
    chosen = np.empty((n_rows, n_columns), np.float32)
    top = np.float32(2**bits - 1)
    for first in range(0, n_rows, BATCH_ROWS):
        last = min(first + BATCH_ROWS, n_rows)
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


def _inverse_factor(moments: NDArray[np.float64], order: NDArray[np.int64]) -> Floats:
    """The upper Cholesky factor of the inverse of the damped moments, in that order."""
    damped = moments[np.ix_(order, order)]
    diagonal = np.diagonal(damped).copy()
    mean = float(diagonal.mean())
    # Inputs that never occur tell nothing: any positive value keeps the matrix regular.
    diagonal[diagonal == 0] = mean if mean > 0 else 1.0
    np.fill_diagonal(damped, diagonal + DAMPING * mean)
    upper: Floats = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)
    return upper
