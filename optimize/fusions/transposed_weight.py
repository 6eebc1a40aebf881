"""`Transpose` of a constant -> the constant as it is read.

Exporters write a Linear as a product with the transposed weight and fold the Transpose only where
the weight is small. It is transposed when it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.graph import Array, NoMatch, add_weight, dims, ints_of, read, substitute, tensor_of


@dataclass(frozen=True)
class Transposed:
    """A constant, the permutation of its axes, and the value it becomes."""

    tensor: ir.TensorProtocol
    perm: tuple[int, ...]
    output: ir.Value


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Transposes of constants."""
    for node in graph:
        if node.op_type == "Transpose" and tensor_of(node.inputs[0]) is not None:
            yield node


def _match(transpose: ir.Node) -> Transposed:
    source, output = transpose.inputs[0], transpose.outputs[0]
    tensor = tensor_of(source)
    assert source is not None and tensor is not None
    if len(source.consumers()) > 1:
        raise NoMatch(f"{source.name} is also read as it is: it would be stored twice")
    if output.is_graph_output():
        raise NoMatch(f"{output.name} is a graph output")
    reverse = range(len(dims(tensor)))[::-1]
    return Transposed(tensor, ints_of(transpose, "perm", reverse), output)


def _rewrite(graph: ir.Graph, match: Transposed) -> None:
    def transposed() -> Array:
        return np.transpose(read(match.tensor), match.perm)

    shape = [dims(match.tensor)[axis] for axis in match.perm]
    name = f"{match.tensor.name}.transposed"
    weight = add_weight(graph, name, match.tensor.dtype, shape, transposed)
    match.output.shape, match.output.type = weight.shape, weight.type
    substitute(match.output, weight)


RULE = Rule("transposed_weight", _candidates, _match, _rewrite)
