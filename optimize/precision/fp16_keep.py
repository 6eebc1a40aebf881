"""Which nodes stay in float32 when a model is converted to float16, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir

from optimize.graph import CONTRIB_IN_DEFAULT_DOMAIN, Array, read
from optimize.precision.plan import code_path
from optimize.precision.quantize import PANEL_ELEMENTS
from vampnet_models.errors import InputError

LARGEST = 65504.0
SMALLEST = 2.0**-25
"""This magnitude and smaller ones round to zero."""

LOST_SHARE = 0.01
"""A weight that loses more of its values is warned about."""

KEEP_OPS = {
    "ReduceMean": "sums many values: float16 loses the small ones",
    "ReduceSum": "sums many values: float16 loses the small ones",
    "CumSum": "sums many values: float16 loses the small ones",
    "ReduceL2": "sums squares: float16 overflows beyond 255",
    "ReduceSumSquare": "sums squares: float16 overflows beyond 255",
    "Pow": "float16 overflows early in a power",
    "Exp": "float16 overflows beyond 11",
}
"""Operators that stay in float32, and why."""

NORM_INTERNALS = ("Mul", "Add", "Sqrt", "Reciprocal", "Div")
"""Operators that make the squares of an unfused norm or use its sums."""

HALF_CONTRIB = (
    *CONTRIB_IN_DEFAULT_DOMAIN,
    "MultiHeadAttention",
    "SkipSimplifiedLayerNormalization",
)
"""Operators outside ONNX whose floats may all be float16."""


def reasons_to_keep(
    model: ir.Model,
    keep_nodes: Collection[str],
    keep_ops: Collection[str] = (),
    measured: Mapping[str, str] | None = None,
) -> tuple[dict[ir.Node, str], list[str]]:
    """The nodes that stay in float32, and warnings about weights that lose small values.

    Each weight that a float16 node would read is read once, to find its extremes. `measured`
    are nodes that measured ranges keep, with reasons.

    Raises InputError when `keep_nodes` or `keep_ops` names what the graph does not have.
    """
    graph = model.graph
    by_name = {node.name: node for node in graph}
    reasons: dict[ir.Node, str] = {}
    for name in keep_nodes:
        if name not in by_name:
            raise InputError(f"{name}: no node of that name; `inspect` lists the names")
        reasons[by_name[name]] = "named by the caller"
    for op_type in keep_ops:
        found = [node for node in graph if node.op_type == op_type]
        if not found:
            raise InputError(f"{op_type}: no operator of that type; `inspect` lists the operators")
        for node in found:
            reasons.setdefault(node, "its operator is kept by the caller")
    for name, reason in (measured or {}).items():
        if name in by_name:
            reasons.setdefault(by_name[name], reason)
    for node, reason in code_path(graph).items():
        reasons.setdefault(node, reason)
    for node in graph:
        if any(reader.graph is not graph for out in node.outputs for reader in out.consumers()):
            reasons.setdefault(node, "read inside a subgraph")
        missing = _no_half_form(node, model)
        if missing is not None:
            reasons.setdefault(node, missing)
        elif node.op_type in KEEP_OPS:
            reasons.setdefault(node, KEEP_OPS[node.op_type])
            for other in _around(node):
                reasons.setdefault(other, f"belongs to {node.name}: {KEEP_OPS[node.op_type]}")
    warnings = []
    for value in graph.initializers.values():
        tensor, readers = value.const_value, [n for n in value.consumers() if n not in reasons]
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or not readers:
            continue
        top, lost = _extremes(read(tensor))
        if not top <= LARGEST:
            reason = f"{value.name} reaches {top:.3g}, beyond float16's {LARGEST:g}"
        elif lost == 1.0:
            reason = f"{value.name} rounds to zero in float16"
        else:
            if lost > LOST_SHARE:
                share = f"{100 * lost:.0f} %"
                warnings.append(f"{value.name}: {share} of its values round to zero in float16")
            continue
        for node in readers:
            reasons.setdefault(node, reason)
    return reasons, warnings


def _extremes(values: Array) -> tuple[float, float]:
    """The largest magnitude, and the share of the values that float16 rounds to zero."""
    if not values.size:
        return 0.0, 0.0
    flat, top, lost = values.reshape(-1), 0.0, 0
    for first in range(0, flat.size, PANEL_ELEMENTS):
        magnitudes = np.abs(flat[first : first + PANEL_ELEMENTS])
        # np.maximum hands a NaN on, which Python's max would drop.
        top = float(np.maximum(top, magnitudes.max()))
        lost += int(np.count_nonzero(magnitudes) - np.count_nonzero(magnitudes > SMALLEST))
    return top, lost / flat.size


def _around(reduction: ir.Node) -> list[ir.Node]:
    """What makes the values that a reduction sums, and what works on its small result."""
    found = [p for v in reduction.inputs if v is not None and (p := v.producer()) is not None]
    pending = list(reduction.outputs[0].consumers())
    while pending:
        reader = pending.pop()
        found.append(reader)
        if reader.op_type in ("Add", "Sqrt", "Reciprocal"):
            pending.extend(reader.outputs[0].consumers())
    return [node for node in found if node.op_type in NORM_INTERNALS]


def _no_half_form(node: ir.Node, model: ir.Model) -> str | None:
    """Why a node cannot work in float16, None when it can."""
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    if any(attribute.type in graphs for attribute in node.attributes.values()):
        return "it holds a subgraph"
    if node.op_type in ("Cast", "Constant", "ConstantOfShape") or node.op_type in HALF_CONTRIB:
        return None
    if "dtype" in node.attributes:
        return "it names its output's type itself"
    values = [*node.inputs, *node.outputs]
    for value, allowed in zip(values, _allowed_types(node, model), strict=True):
        is_float = value is not None and value.dtype == ir.DataType.FLOAT
        if is_float and "tensor(float16)" not in allowed:
            return "the operator has no float16 form"
    return None


def _allowed_types(node: ir.Node, model: ir.Model) -> list[Collection[str]]:
    """The types that the operator's schema allows at each input, then at each output."""
    version = model.graph.opset_imports.get(node.domain, 1)
    n_inputs, n_outputs = len(node.inputs), len(node.outputs)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return [()] * (n_inputs + n_outputs)
    variables = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}

    def types(
        formal: Sequence[onnx.defs.OpSchema.FormalParameter], n: int
    ) -> list[Collection[str]]:
        # The last formal parameter may be variadic.
        chosen = [formal[min(index, len(formal) - 1)] for index in range(n)]
        return [variables.get(each.type_str, (each.type_str,)) for each in chosen]

    return types(schema.inputs, n_inputs) + types(schema.outputs, n_outputs)
