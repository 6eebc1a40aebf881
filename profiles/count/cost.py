"""Arithmetic and memory traffic of every node, counted from shapes.

FLOPs as `vampnet_models.shapes.flops` counts them. Bytes are each input read once and each output
written once, which is the least a kernel can do: caches make real traffic smaller between nodes
and larger inside one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from vampnet_models.onnxfile.operators import INTEGER_PRODUCT_OPS, VIEW_OPS
from vampnet_models.shapes.flops import flops_of
from vampnet_models.shapes.tensor_shapes import Shapes, Tensor, Unresolved

_QUANTIZABLE = frozenset({"Conv", "MatMul", "Gemm"})
"""Operators that ONNX Runtime's CPU provider runs on integers between DequantizeLinear and
QuantizeLinear. ConvTranspose, attention and the elementwise functions stay in float there."""


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


def integer_units(graph: ir.Graph) -> frozenset[ir.Node]:
    """The QDQ nodes that the runtime fuses into one integer kernel with their neighbours.

    Holds the operators of `_QUANTIZABLE` whose data and weight come from DequantizeLinear and
    whose output goes to QuantizeLinear (a MatMul's may stay float), and those neighbours.
    """
    units: set[ir.Node] = set()
    for node in graph:
        if node.op_type not in _QUANTIZABLE or len(node.inputs) < 2:
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
    integer = node.op_type in INTEGER_PRODUCT_OPS
    if node in units:
        if node.op_type not in _QUANTIZABLE:
            return NodeCost(index, node.name or "", node.op_type, 0, 0, 0, "int8")
        integer = True
    traffic = 0 if node.op_type in VIEW_OPS else _traffic(node, tensors, units)
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
