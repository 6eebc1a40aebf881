"""Float16 for storage alone: weights are rounded, and the arithmetic stays float32.

The runtime folds the Cast when it loads the model, so that the file is half as large and the speed
and the memory at run time are those of float32, on processors without float16 kernels too.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.graph import Array, add_weight, dims, drop_unused, graph_of, insert, read, weight_of
from optimize.precision.plan import Conversion, Plan, code_path, conversion, plan

MIN_ELEMENTS = 2048
"""Smaller weights stay: the extra node would eat the saving."""


def targets(graph: ir.Graph) -> Plan:
    """The nodes whose weights are rounded, and the heavy ones that stay, with reasons."""
    return plan(graph, ("MatMul", "Conv", "ConvTranspose"), code_path(graph), MIN_ELEMENTS)


def convert(model: ir.Model, chosen: Plan | None = None) -> Conversion:
    """Round the weights of a model in place, when they are written.

    A weight beyond float16's range becomes the largest float16. `chosen` are the `targets` or a
    part of them.
    """
    found = chosen or targets(model.graph)
    for node in found.chosen:
        tensor, value = weight_of(node), node.inputs[1]
        assert tensor is not None and value is not None
        half = add_weight(
            graph_of(node),
            f"{value.name}.half",
            ir.DataType.FLOAT16,
            dims(tensor),
            partial(_rounded, tensor),
        )
        (restored,) = insert(
            node,
            "Cast",
            [half],
            {"to": ir.DataType.FLOAT},
            name=f"{node.name}/weight",
            shapes=[half.shape],
        )
        node.replace_input_with(1, restored)
    drop_unused(model)
    return conversion(model.graph, len(found.chosen), "float16", found.left)


def _rounded(tensor: ir.TensorProtocol) -> Array:
    largest = float(np.finfo(np.float16).max)
    return np.clip(read(tensor), -largest, largest).astype(np.float16)
