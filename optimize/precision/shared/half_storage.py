"""Float16 for storage alone: weights are rounded, and the arithmetic stays float32.

The runtime folds the Cast when it loads the model, so that the file is half as large and the speed
and the memory at run time are those of float32, on processors without float16 kernels too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Conversion, Plan
from optimize.precision.shared.plan import constant_lookups, conversion, plan
from optimize.surgery.graph import Array, derived_weight, dims, insert, read, weight_of

_MIN_ELEMENTS = 512
"""Smaller weights stay: the extra node would eat the saving."""


def targets(graph: ir.Graph) -> Plan:
    """The nodes whose weights are rounded, and the heavy ones that stay, with reasons.

    What decides the codes is among them: only its weights are rounded, each by less than a
    thousandth of itself, and a search measures what that does.
    """
    found = plan(graph, ("MatMul", "Conv", "ConvTranspose"), {}, _MIN_ELEMENTS)
    return Plan((*found.chosen, *constant_lookups(graph, _MIN_ELEMENTS)), found.left)


def convert(model: ir.Model, chosen: Plan | None = None) -> Conversion:
    """Round the weights of a model in place, when they are written.

    A weight beyond float16's range becomes the largest float16. `chosen` are the `targets` or a
    part of them.
    """
    found = chosen or targets(model.graph)
    for node in found.chosen:
        index = 0 if node.op_type == "Gather" else 1
        tensor = weight_of(node, index)
        assert tensor is not None
        store(node, index, "half", ir.DataType.FLOAT16, partial(_rounded, tensor))
    return conversion(model.graph, len(found.chosen), "float16", found.left)


def store(
    node: ir.Node, index: int, form: str, dtype: ir.DataType, compute: Callable[[], Array]
) -> None:
    """Let a Cast stand between a constant that is stored in `dtype` and the node that reads it.

    What is made of a constant is named by its `form`, and stored once for all that read it so.
    """
    value, tensor = node.inputs[index], weight_of(node, index)
    assert value is not None and tensor is not None
    half = derived_weight(value, form, dtype, dims(tensor), compute)
    (restored,) = insert(
        node,
        "Cast",
        [half],
        {"to": ir.DataType.FLOAT},
        name=f"{node.name}/weight",
        shapes=[half.shape],
    )
    node.replace_input_with(index, restored)


def _rounded(tensor: ir.TensorProtocol) -> Array:
    largest = float(np.finfo(np.float16).max)
    return np.clip(read(tensor), -largest, largest).astype(np.float16)
