"""`W'` of a constant W -> the constant as it is read.

Exporters write a Linear as a product with the transposed weight and fold the Transpose only where
the weight is small. It is transposed when it is written. A constant that others read as it is
would be stored twice: `RULE` leaves it, `TIED_RULE` takes it for conversions that store the
integers of both once (`stand_ins` puts back what they leave).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    derived_weight,
    dims,
    ints_of,
    read,
    substitute,
    tensor_of,
)
from optimize.surgery.scopes import all_nodes
from optimize.surgery.stand_ins import StandIn, remember


@dataclass(frozen=True)
class _Transposed:
    """A constant, the permutation of its axes, and the value it becomes."""

    source: ir.Value
    perm: tuple[int, ...]
    output: ir.Value


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Transposes of constants."""
    for node in all_nodes(graph):
        if node.op_type == "Transpose" and tensor_of(node.inputs[0]) is not None:
            yield node


def _match(transpose: ir.Node) -> _Transposed:
    match = _match_tied(transpose)
    if any(reader.op_type != "Transpose" for reader in match.source.consumers()):
        raise NoMatch(f"{match.source.name} is also read as it is: it would be stored twice")
    reverse = _reverse(match.source)
    if len({ints_of(reader, "perm", reverse) for reader in match.source.consumers()}) > 1:
        raise NoMatch(f"{match.source.name} is turned in two ways: it would be stored twice")
    return match


def _match_tied(transpose: ir.Node) -> _Transposed:
    source, output = transpose.inputs[0], transpose.outputs[0]
    assert source is not None
    if source.is_graph_output():
        raise NoMatch(f"{source.name} is a graph output")
    if output.is_graph_output():
        raise NoMatch(f"{output.name} is a graph output")
    return _Transposed(source, ints_of(transpose, "perm", _reverse(source)), output)


def _reverse(source: ir.Value) -> tuple[int, ...]:
    tensor = tensor_of(source)
    assert tensor is not None
    return tuple(range(len(dims(tensor)))[::-1])


def _rewrite(_graph: ir.Graph, match: _Transposed) -> None:
    weight = turned(match.source, match.perm)
    match.output.shape, match.output.type = weight.shape, weight.type
    substitute(match.output, weight)


def turned(source: ir.Value, perm: tuple[int, ...] = (1, 0)) -> ir.Value:
    """A constant with its axes in that order, stored once for all its readers."""
    tensor = tensor_of(source)
    assert tensor is not None

    def transposed() -> Array:
        return np.ascontiguousarray(np.transpose(read(tensor), perm))

    shape = [dims(tensor)[axis] for axis in perm]
    order = "" if perm == _reverse(source) else "_".join(("", *map(str, perm)))
    weight = derived_weight(source, f"transposed{order}", tensor.dtype, shape, transposed)
    remember(weight, StandIn(source, "Transpose", {"perm": perm}))
    return weight


RULE = Rule("transposed_weight", _candidates, _match, _rewrite)
TIED_RULE = Rule("tied_weight", _candidates, _match_tied, _rewrite)
