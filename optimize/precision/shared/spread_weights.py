"""Weights whose values are too far apart for the scale that they share."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Plan
from optimize.precision.shared.plan import float_node
from optimize.precision.shared.quantize import SMALLEST_SCALE, Bits
from optimize.surgery.graph import Array, read, weight_of

_P = TypeVar("_P", bound=Plan)

_LOST_SHARE = 0.5
"""Of the values that are not 0, how many may become 0. Of normal ones a hundredth does in 8 bits
and an eighth in 4; so many do where values of one scale are hundreds of times as large as the rest,
which may never be read."""


def without_spread_weights(found: _P, bits: Bits = 8, block: int | None = None) -> _P:
    """The plan without products and convolutions that integers would make mostly of zeros.

    Values share a scale by output channel, or in blocks of that many rows of a product's matrix.
    Each weight is read once.
    """
    spread = {node for node in found.chosen if _lost_share(node, bits, block) > _LOST_SHARE}
    reason = f"most of its values are too small beside its largest ones for {bits} bits"
    left = tuple(float_node(node, reason) for node in found.chosen if node in spread)
    chosen = tuple(node for node in found.chosen if node not in spread)
    return replace(found, chosen=chosen, left=(*found.left, *left))


def _lost_share(node: ir.Node, bits: Bits, block: int | None) -> float:
    """The share of a weight's values, zeros apart, that are below half a step of their scale."""
    tensor = weight_of(node) if node.op_type in ("MatMul", "Conv") else None
    if tensor is None or not tensor.size or len(tensor.shape) < 2:
        return 0.0
    values = np.abs(read(tensor))
    # As `[values of one scale, scales]`.
    if node.op_type == "Conv":
        groups = [values.reshape(len(values), -1).T]
    else:
        rows = values.shape[-2]
        groups = [values[..., i : i + (block or rows), :] for i in range(0, rows, block or rows)]
    lost = sum(_lost(group, bits) for group in groups)
    n_zero = values.size - int(np.count_nonzero(values))
    return (lost - n_zero) / max(1, values.size - n_zero)


def _lost(magnitudes: Array, bits: Bits) -> int:
    """How many values become 0; those along the last axis but one share a scale."""
    step = magnitudes.max(axis=-2, keepdims=True) / (2 ** (bits - 1) - 1)
    return int(np.count_nonzero(magnitudes < np.maximum(step, SMALLEST_SCALE) / 2))
