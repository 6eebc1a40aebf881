"""Weights whose values are too far apart for one 8-bit scale per channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.graph import read, weight_of
from optimize.precision.plan import Plan, float_node
from optimize.precision.quantize import per_channel_scales

LOST_SHARE = 0.5
"""Of the values that are not 0, how many may become 0. Of normal ones a hundredth does; so many do
where a channel holds values a few hundred times as large as the rest, which may never be read."""

REASON = "most of its values are too small beside its largest ones for 8 bits"


def without_spread_weights(found: Plan) -> Plan:
    """The plan without products and convolutions that 8 bits would make mostly of zeros.

    Each weight is read once.
    """
    spread = {node for node in found.chosen if _lost_share(node) > LOST_SHARE}
    left = tuple(float_node(node, REASON) for node in found.chosen if node in spread)
    return Plan(tuple(node for node in found.chosen if node not in spread), (*found.left, *left))


def _lost_share(node: ir.Node) -> float:
    """The share of a weight's values, zeros apart, that are below half a step of their channel."""
    tensor = weight_of(node) if node.op_type in ("MatMul", "Conv") else None
    if tensor is None or not tensor.size or len(tensor.shape) < 2:
        return 0.0
    values = np.abs(read(tensor))
    axis = 0 if node.op_type == "Conv" else values.ndim - 1
    steps = per_channel_scales(values, axis)
    shape = [-1 if each == axis else 1 for each in range(values.ndim)]
    lost = int(np.count_nonzero(values < (steps / 2).reshape(shape)))
    n_zero = values.size - int(np.count_nonzero(values))
    return (lost - n_zero) / max(1, values.size - n_zero)
