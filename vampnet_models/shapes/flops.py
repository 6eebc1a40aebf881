"""The arithmetic of an operator, counted from its shapes.

Conventions: a multiply-accumulate is 2 FLOPs (integer ones count the same); an elementwise
operator is 1 per output element, whatever the function; softmax and the normalisations are their
textbook steps; moving data is 0 FLOPs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vampnet_models.onnxfile.native import ATTENTION_OPS
from vampnet_models.shapes.tensor_shapes import Shape

VIEWS = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Size", "Constant"}
)
"""No arithmetic and no traffic: the runtime changes the shape only, or knows it beforehand."""

MOVES = frozenset(
    {
        *("Transpose", "Concat", "Split", "Slice", "Pad", "Expand", "Tile", "Cast", "CastLike"),
        *("Gather", "GatherElements", "GatherND", "ScatterND", "ScatterElements", "Where"),
        *("DepthToSpace", "SpaceToDepth", "ConstantOfShape", "Range", "OneHot"),
        *("MemcpyToHost", "MemcpyFromHost", "ReorderInput", "ReorderOutput"),
    }
)
"""Traffic without arithmetic."""

INTEGER_OPS = frozenset(
    {
        *("QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger"),
        *("DynamicQuantizeMatMul", "MatMulIntegerToFloat"),
    }
)

_WEIGHT_MATMULS = frozenset(
    {"MatMul", "FusedMatMul", "TransposeMatMul", "MatMulInteger", "DynamicQuantizeMatMul"}
    | {"MatMulIntegerToFloat", "MatMulNBits"}
)
_CONVS = frozenset({"Conv", "FusedConv", "ConvInteger", "NhwcConv"})
_STEPS = {
    "Softmax": 4,  # maximum, subtract-and-exponential, sum, divide
    "LogSoftmax": 5,
    "QLinearSoftmax": 4,
    "RMSNormalization": 4,  # square, mean, scale by the root, scale by the weight
    "SimplifiedLayerNormalization": 4,
    "SkipSimplifiedLayerNormalization": 5,
    "LayerNormalization": 6,
    "SkipLayerNormalization": 7,
    "InstanceNormalization": 6,
    "GroupNormalization": 6,
}


def flops_of(op_type: str, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """FLOPs of an operator from its shapes alone; inputs in the operator's order."""
    if op_type in VIEWS or op_type in MOVES or not outputs:
        return 0
    out = math.prod(outputs[0])
    if op_type in _CONVS:  # weight [out, in / groups, kernel...]
        return 2 * out * math.prod(inputs[1][1:])
    if op_type == "QLinearConv":
        return 2 * out * math.prod(inputs[3][1:])
    if op_type == "ConvTranspose":  # weight [in, out / groups, kernel...]
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if op_type in _WEIGHT_MATMULS or op_type in ("QLinearMatMul", "Gemm", "QGemm"):
        return 2 * out * _inner(inputs[0], outputs[0])
    if op_type in ("MultiHeadAttention", "Attention", *ATTENTION_OPS):
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
    if len(inputs[1]) == 2:  # com.microsoft.Attention: (input, weights) with the projections inside
        batch, frames, _ = inputs[0]
        projections = math.prod(inputs[0]) * inputs[1][-1]
        return 2 * projections + 4 * batch * frames * frames * out[-1]
    query, key, value = inputs[0], inputs[1], inputs[2]
    keys = key[-2]
    scores = math.prod(query) * keys
    mixed = math.prod(query[:-1]) * keys * value[-1]
    return 2 * (scores + mixed)
