"""Biases of products, which the runtime itself makes integers where their sum is quantized.

It then joins MatMul and Add, and stores the bias in an int32 by units of the two scales. What does
not fit is cut off: the bias of a column whose weights are zero, or nothing beside it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.precision.int8.conv_weight import BIAS_UNITS
from optimize.surgery.graph import Array, constant, dims, weight_of


def least_scales(node: ir.Node, step: np.float32) -> Array | None:
    """The least scales `[columns]` of a MatMul's weight by which its constant bias fits an int32.

    `step` is the scale of its input. None where no such bias is added alone.
    """
    weight, readers = weight_of(node), node.outputs[0].consumers()
    if weight is None or len(dims(weight)) != 2 or len(readers) != 1 or readers[0].op_type != "Add":
        return None
    biases = [constant(value) for value in readers[0].inputs if value is not node.outputs[0]]
    bias = biases[0] if biases else None
    columns = dims(weight)[1]
    if bias is None or bias.size not in (1, columns):
        return None
    finite = np.where(np.isfinite(bias), bias, 0).astype(np.float64).reshape(-1)
    return np.broadcast_to(np.abs(finite) / BIAS_UNITS / float(step), (columns,))
