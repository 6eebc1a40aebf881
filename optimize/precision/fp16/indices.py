"""Float nodes that lead to whole numbers: indices, which rounding would move, and lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from optimize.precision.fp16.extremes import REAL
from optimize.precision.shared.plan import NARROW_CHANNELS
from optimize.surgery.graph import dims, weight_of
from optimize.surgery.scopes import all_nodes, bodies_of
from vampnet_models.onnxfile.operators import HEAVY_OPS, WEIGHT_OPS

_INDEX = "leads to an index: rounding would move it"
_LENGTH = "leads to a length: rounding would change the shape"

_ROUNDING = ("Ceil", "Floor", "Mod", "Range", "Round")
"""Where a small difference decides between whole numbers."""

_FLOAT_SIZES = {"OneHot": (0, 1), "Resize": (1, 2), "Upsample": (1,), "Range": (0, 1, 2)}
"""Inputs that are indices or sizes though they are float."""

_WHOLE_SIZES = {
    **dict.fromkeys(("Expand", "Pad", "Reshape", "Split", "Tile", "TopK"), (1,)),
    "ConstantOfShape": (0,),
    "Loop": (0,),
    "OneHot": (1,),
    "Range": (0, 1, 2),
    "Resize": (3,),
    "Slice": (1, 2, 4),
}
"""Inputs that decide the shape of what a node makes."""


def by_indices(graph: ir.Graph) -> dict[ir.Node, str]:
    """The float nodes that lead to whole numbers, in a graph and its bodies, with reasons.

    Backwards from each rounding, Cast to integers and float input that is an index or a size. What
    decides a shape is followed up to the inputs, other indices up to what is learned: products
    with wide weights, attention, norms.
    """
    indices: dict[ir.Node, str] = {}
    lengths: dict[ir.Node, str] = {}
    for node in all_nodes(graph):
        starts = _starts(node)
        if starts is None:
            continue
        makes_floats = any(v.dtype in REAL for v in node.outputs)
        if makes_floats and node.op_type in _ROUNDING:
            indices.setdefault(node, _INDEX)
        sizes = node.op_type in ("Range", "Resize", "Upsample")
        if sizes or (not makes_floats and _decides_a_shape(node)):
            _backwards(starts, lengths, _LENGTH, through=True)
        else:
            _backwards(starts, indices, _INDEX, through=False)
    return lengths | {node: why for node, why in indices.items() if node not in lengths}


def _starts(node: ir.Node) -> Sequence[ir.Value | None] | None:
    """The inputs of a node that decide whole numbers; None where there are none."""
    if node.op_type in ("Cast", "CastLike"):
        made = node.outputs[0].dtype
        whole = made is not None and made.is_integer() and made.bitwidth > 8
        # Bytes are samples, levels or weights rather than indices.
        return node.inputs[:1] if whole else None
    if node.op_type in _FLOAT_SIZES:
        return [node.inputs[i] for i in _FLOAT_SIZES[node.op_type] if i < len(node.inputs)]
    return node.inputs if node.op_type in _ROUNDING else None


def _backwards(
    starts: Iterable[ir.Value | None], found: dict[ir.Node, str], reason: str, *, through: bool
) -> None:
    pending = [v for v in starts if v is not None and v.dtype in REAL]
    while pending:
        maker = pending.pop().producer()
        if maker is None or maker in found or (not through and _is_learned(maker)):
            continue
        found[maker] = reason
        pending.extend(v for v in maker.inputs if v is not None and v.dtype in REAL)
        # What a body makes decides too; the nodes in it are reached from its outputs.
        pending.extend(v for body in bodies_of(maker) for v in body.outputs if v.dtype in REAL)


def _is_learned(node: ir.Node) -> bool:
    weight = weight_of(node) if node.op_type in WEIGHT_OPS else None
    if weight is not None:
        return min(dims(weight)[:2]) > NARROW_CHANNELS
    return node.op_type in HEAVY_OPS and node.op_type not in WEIGHT_OPS


def _decides_a_shape(node: ir.Node) -> bool:
    """Whether whole numbers that a node makes go, through whole numbers, into a shape."""
    pending: list[ir.Value] = list(node.outputs)
    seen = set(pending)
    while pending:
        value = pending.pop()
        for reader, index in value.uses():
            if index in _WHOLE_SIZES.get(reader.op_type, ()):
                return True
            whole = [v for v in reader.outputs if v.dtype is not None and v.dtype.is_integer()]
            pending.extend(v for v in whole if v not in seen)
            seen.update(whole)
    return False
