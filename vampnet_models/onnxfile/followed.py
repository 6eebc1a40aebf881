"""Whether ONNX's propagation of values would write out more of them than anybody needs.

It follows integers through shape arithmetic, and writes out each element of a list that it meets,
known or not: a length that a few bytes declare takes gigabytes. So lengths are bounded first, and
where one could be long the propagation is left off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx
from onnx import shape_inference

_LONG_ELEMENTS = 65_536
"""A list that is the shape of nothing."""

_MAKERS = frozenset({"ConstantOfShape", "Expand", "Pad", "Range", "Resize", "Tile", "Upsample"})
"""Operators whose values may be longer than what they read: the numbers in it tell how long."""

_SMALL_BYTES = 8 * 1024


def infer_shapes(
    proto: onnx.ModelProto, *, strict: bool = False, follow: bool = True
) -> onnx.ModelProto:
    """ONNX's shape inference, with its propagation of values to `follow` where no list is long.

    Raises what ONNX raises, an InferenceError for shapes that disagree with `strict`.
    """
    follows = follow and not _is_long(shape_inference.infer_shapes(proto))
    return shape_inference.infer_shapes(proto, strict_mode=strict, data_prop=follows)


def _is_long(proto: onnx.ModelProto) -> bool:
    """Whether a list is long as declared or inferred, or might be made so by known numbers."""
    most: dict[str, float] = {}
    for graph in _graphs(proto.graph):
        values = (*graph.input, *graph.output, *graph.value_info)
        shapes = {value.name: _sizes(value.type) for value in values}
        if any(len(shape) == 1 and shape[0] > _LONG_ELEMENTS for shape in shapes.values()):
            return True
        most |= {tensor.name: _largest(tensor) for tensor in graph.initializer}
        if _makes_long(graph.node, shapes, most):
            return True
    given = max(most.values(), default=0.0)
    return any(
        _makes_long(function.node, {}, dict.fromkeys(function.input, given))
        for function in proto.functions
    )


def _makes_long(
    nodes: Iterable[onnx.NodeProto],
    shapes: Mapping[str, tuple[int, ...]],
    most: dict[str, float],
) -> bool:
    """Whether one of these nodes may make a long list; `most` receives what it may know."""
    for node in nodes:
        number = _of_node(node, shapes, most)
        if node.op_type in _MAKERS and number > _LONG_ELEMENTS:
            known = [shapes.get(name, ()) for name in node.output]
            # What has rows and columns is no list, and a list of a known length was judged.
            if any(len(shape) < 2 and not any(shape) for shape in known):
                return True
        most.update(dict.fromkeys(node.output, number))
    return False


def _of_node(
    node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]], most: Mapping[str, float]
) -> float:
    """The largest number that ONNX might know of what a node makes; 0 where it knows none."""
    if node.op_type == "Constant":
        held = [_of_attribute(attribute) for attribute in node.attribute]
        return max(held, default=0.0)
    if node.op_type in ("Shape", "Size"):
        sizes = shapes.get(node.input[0], ()) if node.input else ()
        return float(math.prod(sizes) if node.op_type == "Size" else max(sizes, default=0))
    read = [most.get(name, 0.0) for name in node.input]
    if node.op_type == "Mul":
        return math.prod(read)
    return sum(read) if node.op_type in ("Add", "Sub", "Range") else max(read, default=0.0)


def _of_attribute(attribute: onnx.AttributeProto) -> float:
    if attribute.name == "value":
        return _largest(attribute.t)
    return float(max((abs(each) for each in (attribute.i, *attribute.ints)), default=0))


def _largest(tensor: onnx.TensorProto) -> float:
    """The largest integer of a small tensor, whatever its sign; 0 for any other."""
    integers = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    held_bytes = len(tensor.raw_data) + 8 * (len(tensor.int64_data) + len(tensor.int32_data))
    if not integers or tensor.external_data or held_bytes > _SMALL_BYTES:
        return 0.0
    values = onnx.numpy_helper.to_array(tensor).astype(np.float64)
    # The end of a Slice is often the largest integer there is: no length, and no size of anything.
    values = values[np.abs(values) < 2.0**62]
    return float(np.abs(values).max(initial=0.0))


def _sizes(type_: onnx.TypeProto) -> tuple[int, ...]:
    """The sizes that a tensor's type tells; 0 for those that it does not."""
    return tuple(dim.dim_value for dim in type_.tensor_type.shape.dim)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(body)
