"""`x Phi(x)`, as `x (1 + erf(x / sqrt 2)) / 2` or
`x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` -> Gelu.

Hendrycks and Gimpel 2016, "Gaussian Error Linear Units". Exporters write either form as a chain of
elementwise operators whose order and association differ, so a chain is recognised by what it
computes: evaluated at probe points, it must agree with GELU. Mobile compilers know the operator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import Array, NoMatch, insert, scalar, substitute

_PROBES = np.linspace(-6.0, 6.0, 97)
"""Beyond 6 both forms are x or 0 within the tolerance."""

_TOLERANCE = 2e-6
"""Constants are stored in float32, so agreement cannot be closer."""

_MAX_CHAIN = 12
"""Bounds the walk; the tanh form with its cube as two products has nine operators."""

_ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Pow", "Tanh", "Erf")


@dataclass(frozen=True)
class _Chain:
    """A chain from x to GELU(x)."""

    x: ir.Value
    output: ir.Value
    approximate: Literal["tanh", "none"]
    name: str


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Tanh and Erf whose result is not a graph output: the inner function of a GELU."""
    for node in graph:
        if node.op_type in ("Tanh", "Erf") and not node.outputs[0].is_graph_output():
            yield node


def _match(node: ir.Node) -> _Chain:
    form: Literal["tanh", "none"] = "tanh" if node.op_type == "Tanh" else "none"
    expected = _gelu(_PROBES, form)
    inputs = _possible_inputs(node)
    # Outwards from the inner function, until what stands there is GELU of a value upstream.
    value = node.outputs[0]
    for _ in range(_MAX_CHAIN):
        for x in inputs:
            computed = _evaluate(value, x, _PROBES)
            if computed is not None and np.allclose(computed, expected, rtol=0, atol=_TOLERANCE):
                return _Chain(x, value, form, node.name or node.op_type)
        readers = value.consumers()
        if len(readers) != 1 or readers[0].op_type not in _ELEMENTWISE or value.is_graph_output():
            break
        value = readers[0].outputs[0]
    raise NoMatch(f"what follows {node.op_type} is not the rest of a GELU")


def _gelu(x: Array, approximate: Literal["tanh", "none"]) -> Array:
    """GELU in double precision."""
    if approximate == "tanh":
        inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        inner = np.vectorize(math.erf)(x / math.sqrt(2))
    result: Array = 0.5 * x * (1 + inner)
    return result


def _possible_inputs(node: ir.Node) -> list[ir.Value]:
    """Values upstream of the inner function, through elementwise operators only."""
    found: list[ir.Value] = []
    pending = [v for v in node.inputs if v is not None]
    while pending and len(found) < _MAX_CHAIN:
        # The nearest first: where x is itself a product, the whole of it is what GELU is of.
        value = pending.pop(0)
        if value in found or scalar(value) is not None:
            continue
        found.append(value)
        producer = value.producer()
        if producer is not None and producer.op_type in _ELEMENTWISE:
            pending.extend(v for v in producer.inputs if v is not None)
    return found


def _evaluate(value: ir.Value, x: ir.Value, points: Array) -> Array | None:
    """`value` as a function of `x` alone, None where it depends on anything else."""
    if value is x:
        return points
    if (number := scalar(value)) is not None:
        return np.full_like(points, number)
    node = value.producer()
    if node is None or node.op_type not in _ELEMENTWISE:
        return None
    operands = [_evaluate(v, x, points) if v is not None else None for v in node.inputs]
    if any(operand is None for operand in operands):
        return None
    return _compute(node.op_type, [o for o in operands if o is not None])


def _compute(op_type: str, operands: list[Array]) -> Array:
    with np.errstate(all="ignore"):
        first = operands[0]
        result: Array
        match op_type:
            case "Tanh":
                result = np.tanh(first)
            case "Erf":
                result = np.vectorize(math.erf)(first)
            case "Add":
                result = first + operands[1]
            case "Sub":
                result = first - operands[1]
            case "Mul":
                result = first * operands[1]
            case "Div":
                result = first / operands[1]
            case _:
                result = first ** operands[1]
    return result


def _rewrite(graph: ir.Graph, match: _Chain) -> None:
    node = match.output.producer()
    assert node is not None
    (new,) = insert(
        node, "Gelu", [match.x], {"approximate": match.approximate}, name=f"{match.name}/gelu"
    )
    substitute(match.output, new)


RULE = Rule("gated_gelu", _candidates, _match, _rewrite)
