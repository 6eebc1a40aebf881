"""Equal nodes and equal small initializers become one, graph by graph.

Nodes are equal when they compute the same of the same values in the same graph. What draws
numbers, holds a graph of its own or belongs to a domain that is not known stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable

import onnx_ir as ir

from optimize.surgery.identities import can_be_output, is_output, read_instead, take_place
from vampnet_models.onnxfile.operators import MICROSOFT, RANDOM_OPS

_SMALL_ELEMENTS = 1024
"""Initializers up to this size are compared by content."""

_KNOWN_DOMAINS = ("", MICROSOFT)
"""Whose operators give the same answer twice, but for the random ones."""


def merge_equal_initializers(model: ir.Model) -> int:
    """Let the readers of equal small initializers of one graph read one of them; returns how many
    went. Those that are inputs or outputs of a graph stay."""
    merged = 0
    for graph in model.graphs():
        first: dict[Hashable, ir.Value] = {}
        for value in list(graph.initializers.values()):
            tensor = value.const_value
            if value.is_graph_input() or value.is_graph_output() or tensor is None:
                continue
            if tensor.size > _SMALL_ELEMENTS:
                continue
            kept = first.setdefault(_content(tensor), value)
            if kept is not value and value.name is not None:
                read_instead(value, kept)
                graph.initializers.pop(value.name)
                merged += 1
    return merged


def merge_equal_nodes(model: ir.Model) -> int:
    """Remove each node that an earlier one of its graph equals, in place; returns how many.

    Where both make outputs of a graph, both stay: each output keeps its name.
    """
    merged = 0
    for graph in model.graphs():
        first: dict[Hashable, ir.Node] = {}
        for node in list(graph):
            key = _key(node)
            if key is None:
                continue
            kept = first.setdefault(key, node)
            if kept is not node and _merge(graph, kept, node):
                merged += 1
    return merged


def _merge(graph: ir.Graph, kept: ir.Node, node: ir.Node) -> bool:
    pairs = list(zip(node.outputs, kept.outputs, strict=True))
    for old, new in pairs:
        if old.is_graph_output() and not (is_output(old, graph) and can_be_output(new, graph)):
            return False
    for old, new in pairs:
        if old.is_graph_output():
            take_place(graph, old, new)
        read_instead(old, new)
    graph.remove(node, safe=True)
    return True


def _key(node: ir.Node) -> Hashable | None:
    """Equal for nodes that compute the same; None for a node that must stay."""
    if node.domain not in _KNOWN_DOMAINS or node.op_type in RANDOM_OPS:
        return None
    attributes = []
    for name, attribute in sorted(node.attributes.items()):
        value = _attribute(attribute)
        if value is None:
            return None
        attributes.append((name, attribute.type.value, value))
    return (
        node.op_identifier(),
        tuple(node.inputs),
        tuple(bool(value.name) for value in node.outputs),
        tuple(attributes),
    )


def _attribute(attribute: ir.Attr) -> Hashable | None:
    """The attribute's value bit by bit; None for what is not compared."""
    kind, value = attribute.type, attribute.value
    if attribute.is_ref() or value is None:
        return None
    if kind is ir.AttributeType.FLOAT:
        return struct.pack("f", value)
    if kind is ir.AttributeType.FLOATS:
        return struct.pack(f"{len(value)}f", *value)
    if kind in (ir.AttributeType.INT, ir.AttributeType.STRING):
        return (value,)
    if kind in (ir.AttributeType.INTS, ir.AttributeType.STRINGS):
        return tuple(value)
    if kind is ir.AttributeType.TENSOR and value.size <= _SMALL_ELEMENTS:
        return _content(value)
    return None


def _content(tensor: ir.TensorProtocol) -> Hashable:
    """Type, shape and bytes of a tensor."""
    values: Hashable
    if tensor.dtype == ir.DataType.STRING:
        values = tuple(bytes(each) for each in tensor.string_data())  # type: ignore[attr-defined]
    else:
        values = tensor.tobytes()
    return (tensor.dtype, tuple(tensor.shape.numpy()), values)
