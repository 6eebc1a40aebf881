"""Shapes of a graph at two lengths: an axis that differs between them is time.

Each node is inferred on its own (ONNX's inference of single nodes), so that a constant which
bakes the first length is met exactly where the second stops fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from vampnet_models.errors import reason_of
from vampnet_models.onnxfile.operators import DEFAULT_DOMAINS
from vampnet_models.onnxfile.session import Array
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.spec import OPSET
from vampnet_models.structure import constant_of

_Pair = tuple[Shape, Shape]

_MAX_KNOWN = 4096
"""Integers beyond this count are shapes no longer: their values are not followed."""


class Refused(Exception):
    """Why a graph cannot be freed from its length."""


@dataclass
class TwoLengths:
    """What is known of each value, by its identity: its shape and, for small integers, contents.

    `own` is the length that the graph was made for, `other` the one it is to serve too.
    """

    own: int
    other: int
    shapes: dict[ir.Value, _Pair] = field(default_factory=dict)
    known: dict[ir.Value, tuple[Array, Array]] = field(default_factory=dict)

    def shape_of(self, value: ir.Value) -> _Pair:
        """The shape at both lengths; constants have one."""
        if value not in self.shapes:
            array = value.const_value
            if array is None:
                raise Refused(f"the shape of {value.name} is unknown")
            shape = tuple(array.shape.numpy())
            self.shapes[value] = (shape, shape)
        return self.shapes[value]

    def values_of(self, value: ir.Value | None) -> tuple[Array, Array] | None:
        """The contents at both lengths where they are small integers that do not depend on data."""
        if value is None:
            return None
        if value not in self.known and value.const_value is not None:
            if math.prod(value.const_value.shape.numpy()) > _MAX_KNOWN:
                return None
            array = constant_of(value)
            if array is not None and array.dtype.kind in "iub":
                self.known[value] = (array, array)
        return self.known.get(value)

    def varies(self, value: ir.Value) -> bool:
        """Whether any axis of the value is time."""
        own, other = self.shape_of(value)
        return own != other

    def infer(self, node: ir.Node) -> None:
        """Shapes of the node's outputs at both lengths. Raises Refused where they do not fit."""
        if node.domain not in DEFAULT_DOMAINS:
            raise Refused(f"{node.name}: operator {node.domain}::{node.op_type} is not understood")
        proto = ir.serde.serialize_node(node)
        found = [self._infer_one(node, proto, index) for index in (0, 1)]
        for value in node.outputs:
            if value.name:
                self.shapes[value] = (found[0][value.name], found[1][value.name])
        self._follow(node, proto)

    def _infer_one(self, node: ir.Node, proto: onnx.NodeProto, index: int) -> dict[str, Shape]:
        types, data = {}, {}
        for value in node.inputs:
            if value is None:
                continue
            name = value.name or ""
            if value.dtype is None:
                raise Refused(f"the type of {name} is unknown")
            shape = self.shape_of(value)[index]
            types[name] = onnx.helper.make_tensor_type_proto(int(value.dtype), shape)
            known = self.values_of(value)
            if known is not None:
                data[name] = onnx.numpy_helper.from_array(np.array(known[index], order="C"), name)
        try:
            schema = onnx.defs.get_schema(node.op_type, OPSET, "")
            outputs = onnx.shape_inference.infer_node_outputs(
                schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid("", OPSET)]
            )
        except Exception as error:
            length = (self.own, self.other)[index]
            raise Refused(
                f"{node.op_type} {node.name} does not fit length {length}: {reason_of(error, 160)}"
            ) from error
        found = {}
        for value in node.outputs:
            if not value.name:
                continue
            kind = outputs[value.name].tensor_type if value.name in outputs else None
            if kind is None or not kind.HasField("shape"):
                raise Refused(f"{node.op_type} {node.name}: its output's shape depends on the data")
            if not all(d.HasField("dim_value") for d in kind.shape.dim):
                raise Refused(f"{node.op_type} {node.name}: its output's shape depends on the data")
            found[value.name] = tuple(d.dim_value for d in kind.shape.dim)
            if value.dtype is None:
                value.dtype = ir.DataType(kind.elem_type)
        return found

    def _follow(self, node: ir.Node, proto: onnx.NodeProto) -> None:
        """Compute the contents of small integers, so that shapes made from shapes are known."""
        if len(node.outputs) != 1:
            return
        output = node.outputs[0]
        if node.op_type == "Shape" and node.inputs[0] is not None:
            start, end = (
                node.attributes.get_int("start", 0),
                node.attributes.get_int("end", 1 << 30),
            )
            own, other = self.shape_of(node.inputs[0])
            self.known[output] = (
                np.array(own[start:end], np.int64),
                np.array(other[start:end], np.int64),
            )
            return
        if max(math.prod(s) for s in self.shapes[output]) > _MAX_KNOWN:
            return
        known = [(v, self.values_of(v)) for v in node.inputs if v is not None]
        if not known or any(values is None for _, values in known):
            return
        evaluator = ReferenceEvaluator(proto)
        results = []
        for index in (0, 1):
            feeds = {str(v.name): values[index] for v, values in known if values is not None}
            results.append(np.asarray(next(iter(evaluator.run(None, feeds)))))
        self.known[output] = (results[0], results[1])


def reshaped(own: Shape, other: Shape, target: Shape, length: int, new: int) -> Shape | None:
    """The target of a Reshape at the other length; None when it is ambiguous.

    Axes are matched in groups of equal size; in a group that holds time, the target's axes that
    are multiples of `length` must be as many as the source's.
    """
    result, i, j = list(target), 0, 0
    while i < len(own) or j < len(target):
        first, start = i, j
        size = own[i] if i < len(own) else 1
        wanted = target[j] if j < len(target) else 1
        i, j = min(i + 1, len(own)), min(j + 1, len(target))
        while size != wanted:
            if size < wanted:
                size, i = size * own[i], i + 1
            else:
                wanted, j = wanted * target[j], j + 1
        timed = sum(a != b for a, b in zip(own[first:i], other[first:i], strict=True))
        if not timed:
            continue
        candidates = [k for k in range(start, j) if target[k] % length == 0 and target[k] > 0]
        if len(candidates) != timed:
            return None
        for k in candidates:
            result[k] = target[k] // length * new
    return tuple(result) if math.prod(result) == math.prod(other) else None
