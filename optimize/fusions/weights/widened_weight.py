"""`float32(w)` of a constant of another float type -> a float32 constant, to be made smaller.

Only for conversions that store weights in fewer bits; what they leave is cast again (`stand_ins`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    derived_weight,
    dims,
    int_of,
    read,
    substitute,
    tensor_of,
)
from optimize.surgery.scopes import all_nodes
from optimize.surgery.stand_ins import StandIn, remember
from vampnet_models.onnxfile.operators import WEIGHT_INPUTS

_STORED = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)

_WEIGHT_INPUTS = {**WEIGHT_INPUTS, "Transpose": (0,), "Identity": (0,)}
"""Where operators read what the precisions convert; the last two hand it on."""


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in all_nodes(graph):
        tensor = tensor_of(node.inputs[0]) if node.op_type == "Cast" else None
        if tensor is not None and tensor.dtype in _STORED:
            yield node


def _match(cast: ir.Node) -> ir.Node:
    output = cast.outputs[0]
    if int_of(cast, "to", 0) != ir.DataType.FLOAT:
        raise NoMatch("does not cast to float32")
    if output.is_graph_output():
        raise NoMatch(f"{output.name} is a graph output")
    for reader, index in output.uses():
        if index not in _WEIGHT_INPUTS.get(reader.op_type, ()):
            raise NoMatch(f"{reader.op_type} {reader.name} reads it, not as a weight")
    return cast


def _rewrite(_graph: ir.Graph, cast: ir.Node) -> None:
    source = cast.inputs[0]
    tensor = tensor_of(source)
    assert source is not None and tensor is not None

    def widened() -> Array:
        return read(tensor).astype(np.float32)

    weight = derived_weight(source, "float32", ir.DataType.FLOAT, dims(tensor), widened)
    remember(weight, StandIn(source, "Cast", {"to": int(ir.DataType.FLOAT)}))
    substitute(cast.outputs[0], weight)


RULE = Rule("widened_weight", _candidates, _match, _rewrite)
