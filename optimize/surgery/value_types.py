"""The type of every value of a model: what inference cannot tell, operators' schemas do.

ONNX's inference knows nothing of ONNX Runtime's own operators, nor of some of its own. The schema
of an operator says which outputs have the type of which input; the runtime's schemas are asked
where ONNX has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import onnx
import onnx_ir as ir
from onnxruntime.capi import _pybind_state

from optimize.surgery.scopes import all_nodes, bodies_of
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.operators import BRANCHING_OPS

_CONTAINERS = {"seq": ir.SequenceType, "optional": ir.OptionalType}


@dataclass(frozen=True)
class Signature:
    """The type strings that each input and output may have; the last one may be variadic.

    Positions of one type variable share its name; a type that is fixed is its own name.
    """

    inputs: tuple[tuple[str, frozenset[str]], ...]
    outputs: tuple[tuple[str, frozenset[str]], ...]

    def at(self, node: ir.Node) -> Iterator[tuple[ir.Value | None, str, frozenset[str]]]:
        """(value, name of its type, types allowed) of each input, then of each output."""
        for values, formal in ((node.inputs, self.inputs), (node.outputs, self.outputs)):
            for index, value in enumerate(values):
                if formal:
                    yield value, *formal[min(index, len(formal) - 1)]


def fill_types(graph: ir.Graph) -> None:
    """Give every value of a main graph and its bodies a type, after shape inference.

    Raises InputError naming a value that something reads and whose type nothing tells.
    """
    _fill(graph, graph)
    for node in all_nodes(graph):
        for value in node.outputs:
            if value.type is None and (value.uses() or value.is_graph_output()):
                raise InputError(
                    f"{value.name}: its type cannot be inferred ({node.op_type} {node.name}); "
                    "export the model with value_info"
                )


def signature_of(node: ir.Node, main: ir.Graph) -> Signature | None:
    """What the operator's schema says, ONNX's or else the runtime's; None where neither has it."""
    version = main.opset_imports.get(node.domain, main.opset_imports.get("ai.onnx", 1))
    return _signature(node.op_type, version, "" if node.domain == "ai.onnx" else node.domain)


@cache
def _signature(op_type: str, version: int, domain: str) -> Signature | None:
    try:
        schema = onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        known = [s for s in _runtime_schemas() if (s.name, s.domain) == (op_type, domain)]
        known = [s for s in known if s.since_version <= version]
        if not known:
            return None
        newest = max(known, key=lambda s: s.since_version)
        constraints = {c.type_param_str: c.allowed_type_strs for c in newest.type_constraints}
        names = [[p.typeStr for p in formal] for formal in (newest.inputs, newest.outputs)]
    else:
        constraints = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        names = [[p.type_str for p in formal] for formal in (schema.inputs, schema.outputs)]
    inputs, outputs = (
        tuple((name, frozenset(constraints.get(name, (name,)))) for name in formal)
        for formal in names
    )
    return Signature(inputs, outputs)


@cache
def _runtime_schemas() -> tuple[_pybind_state.schemadef.OpSchema, ...]:
    return tuple(_pybind_state.get_all_operator_schema())


def _fill(graph: ir.Graph | ir.Function, main: ir.Graph) -> None:
    for node in graph:
        bodies = bodies_of(node)
        for body in bodies:
            _hand_in(node, body)
            _fill(body, main)
        if node.op_type in BRANCHING_OPS:
            _hand_out(node, bodies[0])
        signature = signature_of(node, main)
        if signature is not None:
            _apply(signature, node)


def _hand_in(node: ir.Node, body: ir.Graph) -> None:
    """Types of what a Loop or Scan hands into its body; of a Loop after counter and condition."""
    skipped = 2 if node.op_type == "Loop" else 0
    for outer, inner in zip(node.inputs[skipped:], body.inputs[skipped:], strict=False):
        if inner.type is None and outer is not None:
            inner.type = deepcopy(outer.type)


def _hand_out(node: ir.Node, body: ir.Graph) -> None:
    """Types of what a body hands out; of a Loop after the condition."""
    made = body.outputs[1 if node.op_type == "Loop" else 0 :]
    for outer, inner in zip(node.outputs, made, strict=False):
        if outer.type is None:
            outer.type = deepcopy(inner.type)


def _apply(signature: Signature, node: ir.Node) -> None:
    bound: dict[str, ir.TypeProtocol] = {}
    for value, name, allowed in signature.at(node):
        if value is None:
            continue
        if value.type is None and value.producer() is node and name in bound:
            value.type = deepcopy(bound[name])
        elif value.type is None and len(allowed) == 1:
            value.type = _parsed(next(iter(allowed)))
        if value.type is not None:
            bound.setdefault(name, value.type)


def _parsed(text: str) -> ir.TypeProtocol | None:
    """`tensor(float)`, `seq(tensor(float))`, ... as a type; None for anything else."""
    kind, _, inside = text.partition("(")
    inside = inside.removesuffix(")")
    if kind == "tensor":
        return ir.TensorType(ir.DataType[inside.upper()])
    held = _parsed(inside) if kind in _CONTAINERS else None
    return None if held is None else _CONTAINERS[kind](held)
