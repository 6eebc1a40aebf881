"""The arithmetic of an operator, counted from its shapes.

Conventions: a multiply-accumulate is 2 FLOPs (integer ones count the same); an elementwise
operator is 1 per output element, whatever the function; softmax and the normalisations are their
textbook steps; moving data is 0 FLOPs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vampnet_models.onnxfile.operators import (
    ATTENTION_OPS,
    CONV_OPS,
    MOVING_OPS,
    NATIVE_CONV,
    NORM_OPS,
    PRODUCT_OPS,
    VIEW_OPS,
)
from vampnet_models.shapes.tensor_shapes import Shape

_STEPS = {
    "Softmax": 4,  # maximum, subtract-and-exponential, sum, divide
    "LogSoftmax": 5,
    "QLinearSoftmax": 4,
    **NORM_OPS,
}


def flops_of(op_type: str, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """FLOPs of an operator from its shapes alone; inputs in the operator's order."""
    if op_type in VIEW_OPS or op_type in MOVING_OPS or not outputs:
        return 0
    out = math.prod(outputs[0])
    if op_type in CONV_OPS:
        return 2 * out * math.prod(inputs[1][1:])
    if op_type == "QLinearConv":
        return 2 * out * math.prod(inputs[3][1:])
    if op_type == "ConvTranspose":  # weight [in, out / groups, kernel...]
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if op_type == NATIVE_CONV:
        return 2 * out * math.prod(inputs[1][1:3])
    if op_type in PRODUCT_OPS:
        return 2 * out * _inner(inputs[0], outputs[0])
    if op_type in ATTENTION_OPS:
        return _attention_flops(inputs, outputs[0])
    if op_type in _STEPS:
        return _STEPS[op_type] * out
    if op_type.startswith(("Reduce", "Arg", "GlobalAverage", "GlobalMax", "TopK")):
        return math.prod(inputs[0])
    return out


def _inner(a: Shape, out: Shape) -> int:
    """The summed dimension of a matrix product, transposed or not: A's other dimension."""
    if len(a) < 2 or len(out) < 2:
        return a[-1] if a else 1
    return a[-1] * a[-2] // max(1, out[-2])


def _attention_flops(inputs: Sequence[Shape], out: Shape) -> int:
    """Two products and a softmax: [batch, queries, width] inputs or [batch, heads, queries, size].

    The heads cancel in the products; the softmax between them is below a hundredth of the two
    and is left out where a 3-D layout hides their number.
    """
    # The contrib Attention takes (input, weights) and has the projections inside.
    if len(inputs) > 1 and len(inputs[1]) == 2:
        batch, frames, _ = inputs[0]
        projections = math.prod(inputs[0]) * inputs[1][-1]
        return 2 * projections + 4 * batch * frames * frames * out[-1]
    # The contrib operators also take one packed input, for attention of a sequence to itself.
    packed = len(inputs) < 3 or any(len(each) < 3 for each in inputs[1:3])
    query, keys = (out, out[-2]) if packed else (inputs[0], inputs[1][-2])
    return 2 * keys * (math.prod(query) + math.prod(out))
