"""Arithmetic and memory traffic of every node, counted from shapes.

Conventions: a multiply-accumulate is 2 FLOPs (integer ones count the same); an elementwise
operator is 1 per output element, whatever the function; softmax and the normalisations are their
textbook steps; moving data is 0 FLOPs. Bytes are each input read once and each output written
once, which is the least a kernel can do: caches make real traffic smaller between nodes and
larger inside one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from profiles.shapes import Shape, Shapes, Tensor, Unresolved

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

QUANTIZABLE = frozenset({"Conv", "MatMul", "Gemm"})
"""Operators that ONNX Runtime's CPU provider runs on integers between DequantizeLinear and
QuantizeLinear. ConvTranspose, attention and the elementwise functions stay in float there."""

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


@dataclass(frozen=True)
class NodeCost:
    """What one node computes and moves; `precision` is that of its arithmetic.

    `index` is the node's position in the main graph.
    """

    index: int
    name: str
    op_type: str
    flops: int
    bytes: int
    weight_bytes: int
    precision: str


@dataclass(frozen=True)
class ModelCost:
    """The nodes' costs; `unresolved` nodes are not in the totals."""

    nodes: tuple[NodeCost, ...]
    unresolved: tuple[Unresolved, ...]

    @property
    def flops(self) -> int:
        """The sum over all nodes."""
        return sum(n.flops for n in self.nodes)

    @property
    def bytes(self) -> int:
        """The sum over all nodes."""
        return sum(n.bytes for n in self.nodes)

    def flops_by(self, key: str) -> dict[str, int]:
        """FLOPs summed by `op_type` or `precision`, largest first; zeros left out."""
        sums: Counter[str] = Counter()
        for node in self.nodes:
            sums[getattr(node, key)] += node.flops
        return {name: flops for name, flops in sums.most_common() if flops}


def model_cost(model: ir.Model, shapes: Shapes) -> ModelCost:
    """The cost of one run of `model` at the shapes inferred for it."""
    weights = set(model.graph.initializers)
    units = integer_units(model.graph)
    costs = tuple(
        _node_cost(index, node, shapes.tensors, weights, units)
        for index, node in enumerate(model.graph)
        if all(not v.name or v.name in shapes.tensors for v in node.outputs)
    )
    return ModelCost(costs, shapes.unresolved)


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
    if op_type in ("MultiHeadAttention", "Attention"):
        return _attention_flops(inputs, outputs[0])
    if op_type in _STEPS:
        return _STEPS[op_type] * out
    if op_type.startswith(("Reduce", "Arg", "GlobalAverage", "GlobalMax", "TopK")):
        return math.prod(inputs[0])
    return out


def integer_units(graph: ir.Graph) -> frozenset[ir.Node]:
    """The QDQ nodes that the runtime fuses into one integer kernel with their neighbours.

    Holds the operators of `QUANTIZABLE` whose data and weight come from DequantizeLinear and
    whose output goes to QuantizeLinear (a MatMul's may stay float), and those neighbours.
    """
    units: set[ir.Node] = set()
    for node in graph:
        if node.op_type not in QUANTIZABLE or len(node.inputs) < 2:
            continue
        feeding = [v.producer() for v in node.inputs if v is not None]
        if any(p is None or p.op_type != "DequantizeLinear" for p in feeding[:2]):
            continue
        users = [u for u, _ in node.outputs[0].uses()]
        quantized = bool(users) and all(u.op_type == "QuantizeLinear" for u in users)
        if not quantized and node.op_type == "Conv":
            continue
        units.add(node)
        units.update(p for p in feeding if p is not None and p.op_type == "DequantizeLinear")
        if quantized:
            units.update(users)
    return frozenset(units)


def _node_cost(
    index: int,
    node: ir.Node,
    tensors: Mapping[str, Tensor],
    weights: set[str],
    units: frozenset[ir.Node],
) -> NodeCost:
    inputs = [tensors[v.name] for v in node.inputs if v is not None and v.name]
    outputs = [tensors[v.name] for v in node.outputs if v.name]
    integer = node.op_type in INTEGER_OPS
    if node in units:
        if node.op_type not in QUANTIZABLE:
            return NodeCost(index, node.name or "", node.op_type, 0, 0, 0, "int8")
        integer = True
    traffic = 0 if node.op_type in VIEWS else _traffic(node, tensors, units)
    return NodeCost(
        index=index,
        name=node.name or "",
        op_type=node.op_type,
        flops=flops_of(node.op_type, [t.shape for t in inputs], [t.shape for t in outputs]),
        bytes=traffic,
        weight_bytes=sum(
            _source(v, node in units, tensors).bytes
            for v in node.inputs
            if v is not None and _is_weight(v, weights)
        ),
        precision="int8" if integer else _precision(node, inputs, outputs),
    )


def _precision(node: ir.Node, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    if node.op_type == "MatMulNBits":
        level = node.attributes.get("accuracy_level")
        return "int8" if level is not None and level.as_int() == 4 else "float32"
    floats = [t.dtype for t in (*outputs, *inputs) if t.dtype.is_floating_point()]
    chosen = floats[0] if floats else (outputs or inputs)[0].dtype
    return {ir.DataType.FLOAT: "float32"}.get(chosen, chosen.name.lower())


def _traffic(node: ir.Node, tensors: Mapping[str, Tensor], units: frozenset[ir.Node]) -> int:
    unit = node in units
    read = [_source(v, unit, tensors) for v in node.inputs if v is not None and v.name]
    written = sum(_sink(v, unit, tensors).bytes for v in node.outputs if v.name)
    if node.op_type in ("Gather", "GatherElements", "GatherND"):
        # Only the rows that the indices name are read.
        return 2 * written + sum(t.bytes for t in read[1:])
    return sum(t.bytes for t in read) + written


def _source(value: ir.Value, unit: bool, tensors: Mapping[str, Tensor]) -> Tensor:
    """The tensor that is really read: inside an integer unit the one before DequantizeLinear."""
    producer = value.producer()
    if unit and producer is not None and producer.op_type == "DequantizeLinear":
        before = producer.inputs[0]
        if before is not None and (before.name or "") in tensors:
            return tensors[before.name or ""]
    return tensors[value.name or ""]


def _sink(value: ir.Value, unit: bool, tensors: Mapping[str, Tensor]) -> Tensor:
    """The tensor that is really written: inside an integer unit the one after QuantizeLinear."""
    for user, _ in value.uses():
        if unit and user.op_type == "QuantizeLinear":
            return tensors[user.outputs[0].name or ""]
    return tensors[value.name or ""]


def _is_weight(value: ir.Value, weights: set[str]) -> bool:
    producer = value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        before = producer.inputs[0]
        return before is not None and before.name in weights
    return value.name in weights


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
