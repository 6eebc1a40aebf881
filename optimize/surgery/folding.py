"""What depends on constants alone is computed, and an If of a constant condition is its branch.

Dynamic lengths stay dynamic.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from optimize.surgery.graph import SMALL_CONSTANT_ELEMENTS, Array, constant, tensor_of
from optimize.surgery.identities import is_output, read_instead, take_place
from optimize.surgery.unused import discard
from vampnet_models.onnxfile.operators import RANDOM_OPS

_GROWING_OPS = frozenset(
    {
        "CenterCropPad",
        "Col2Im",
        "ConvTranspose",
        "Einsum",
        "EyeLike",
        "BlackmanWindow",
        "HammingWindow",
        "HannWindow",
        "MaxUnpool",
        "MelWeightMatrix",
        "OneHot",
        "Pad",
        "Resize",
        "Upsample",
    }
)
"""Operators whose values, not sizes, decide how large their output is."""

_MIN_WEIGHT_ELEMENTS = 2048
"""A second copy of fewer values weighs less than what a precision saves by knowing them as one."""


def fold(model: ir.Model) -> None:
    """Fold a model in place."""
    # Buckets of distances take the logarithm of 0 and drop it again, as in the runtime: no warning.
    with np.errstate(all="ignore"):
        _fold(model)
        while _inline_constant_ifs(model):
            NameFixPass()(model)
            _fold(model)


def _fold(model: ir.Model) -> None:
    # Imported by who folds: the library takes 0.2 s, and who lists recipes alone needs none of it.
    from optimize.surgery.folding_pass import Folding

    Folding(
        shape_inference=False,
        input_size_limit=SMALL_CONSTANT_ELEMENTS,
        output_size_limit=SMALL_CONSTANT_ELEMENTS,
        should_fold=partial(_should_fold, model.graph),
    )(model)


def _should_fold(main: ir.Graph, node: ir.Node) -> bool | None:
    """False where an input or the output is large: the library would hold it in memory.

    True for what it keeps by default though it is small: the constant part of a position bias.
    """
    if node.op_type in RANDOM_OPS:
        return False
    if node.graph is not main and any(value.is_graph_output() for value in node.outputs):
        return False  # A body hands out what its nodes make, not a constant.
    if any(v is not None and v.dtype == ir.DataType.STRING for v in (*node.inputs, *node.outputs)):
        return False  # The library stores texts as what no file holds.
    tensors = [tensor_of(value) for value in node.inputs]
    if any(each is not None and each.size > SMALL_CONSTANT_ELEMENTS for each in tensors):
        return False
    if not _is_small(node) or _is_a_weight_turned(node):
        return False
    return True if node.op_type == "ConstantOfShape" else None


def _is_a_weight_turned(node: ir.Node) -> bool:
    """Whether a constant that others read as it is would be stored a second time, turned."""
    value = node.inputs[0] if node.op_type == "Transpose" else None
    tensor = tensor_of(value)
    if value is None or tensor is None or tensor.size < _MIN_WEIGHT_ELEMENTS:
        return False
    return value.is_graph_output() or any(n.op_type != "Transpose" for n in value.consumers())


def _is_small(node: ir.Node) -> bool:
    """Whether the first output of a node of constant inputs certainly is small."""
    shape = node.outputs[0].shape if node.outputs else None
    if shape is not None and shape.is_static():
        return math.prod(shape.numpy()) <= SMALL_CONSTANT_ELEMENTS
    values = [constant(value) for value in node.inputs]
    sizes = [each.size for each in values if each is not None]
    if node.op_type in _GROWING_OPS:
        return False
    if node.op_type == "Range":
        return _range_elements(values) <= SMALL_CONSTANT_ELEMENTS
    if node.op_type == "ConstantOfShape":
        return _elements(values[0]) <= SMALL_CONSTANT_ELEMENTS
    if node.op_type in ("Expand", "Tile") and len(values) > 1 and values[0] is not None:
        return values[0].size * _elements(values[1]) <= SMALL_CONSTANT_ELEMENTS
    return math.prod(sizes) <= SMALL_CONSTANT_ELEMENTS**2 // 16


def _elements(shape: Array | None) -> float:
    """The number of elements of a tensor of this shape, at least 0."""
    if shape is None or shape.dtype.kind not in "iu":
        return math.inf
    return math.prod(max(int(size), 0) for size in shape.reshape(-1))


def _range_elements(values: list[Array | None]) -> float:
    """Integers only: the runtime counts the steps of a float range in the range's own precision."""
    if len(values) != 3 or any(
        v is None or v.size != 1 or v.dtype.kind not in "iu" for v in values
    ):
        return math.inf
    start, limit, step = (int(value.reshape(-1)[0]) for value in values if value is not None)
    return math.inf if step == 0 else max(0.0, (limit - start) / step)


def _inline_constant_ifs(model: ir.Model) -> int:
    """Put the branch that is always taken in the place of its If; returns how many."""
    inlined = 0
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.op_type != "If" or node.domain != "" or not isinstance(node.graph, ir.Graph):
            continue
        condition = constant(node.inputs[0])
        if condition is None or condition.size != 1:
            continue
        attribute = node.attributes.get(
            "then_branch" if condition.reshape(-1)[0] else "else_branch"
        )
        if attribute is None or attribute.type is not ir.AttributeType.GRAPH:
            continue
        _inline(node.graph, node, attribute.as_graph())
        inlined += 1
    return inlined


def _inline(graph: ir.Graph, node: ir.Node, branch: ir.Graph) -> None:
    made = list(branch.outputs)
    branch.outputs.clear()
    nodes = list(branch)
    branch.remove(nodes)
    for name, value in list(branch.initializers.items()):
        branch.initializers.pop(name)
        value.name = _free(graph, name)
        graph.register_initializer(value)
    for each in nodes:
        graph.insert_before(node, each)
    # Identities keep what the If's outputs were called; they go where nothing needs them.
    for number, (old, value) in enumerate(zip(node.outputs, made, strict=True)):
        copy = ir.Node("", "Identity", [value], name=f"{node.name}/branch{number}")
        graph.insert_before(node, copy)
        new = copy.outputs[0]
        new.type, new.shape, new.name = old.type or value.type, old.shape, f"{old.name}.branch"
        if is_output(old, graph):
            take_place(graph, old, new)
        read_instead(old, new)
    discard(node)


def _free(graph: ir.Graph, name: str) -> str:
    free, count = name, 1
    while free in graph.initializers:
        count += 1
        free = f"{name}_{count}"
    return free
