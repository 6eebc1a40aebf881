"""Which nodes stay in float32 when a model is converted to float16, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from optimize.precision.contract import NO_TRAITS, Traits
from optimize.precision.fp16.angles import by_angles
from optimize.precision.fp16.effects import by_facts
from optimize.precision.fp16.extremes import Extremes, constants_extremes
from optimize.precision.fp16.facts import facts_of
from optimize.precision.fp16.forms import FLOAT, HalfForm, half_form, is_float
from optimize.precision.fp16.indices import by_indices
from optimize.precision.shared.plan import code_path
from optimize.surgery.scopes import all_nodes, bodies_of
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.operators import BRANCHING_OPS

_BATCH_TRANSPOSED = "the runtime ends when it joins this to a product in float16"


def _by_kernels(graph: ir.Graph) -> dict[ir.Node, str]:
    """Transpositions of the batch axes that a product reads, in a graph and its bodies.

    The runtime (1.31) joins both into one operator, of which it has no float16 kernel, and ends by
    a segmentation fault while it loads the model. A Cast between them keeps them apart.
    """
    return {
        node: _BATCH_TRANSPOSED
        for node in all_nodes(graph)
        if node.op_type == "Transpose" and _moves_batch(node) and _feeds_a_product(node)
    }


def _moves_batch(node: ir.Node) -> bool:
    """Whether the first axis goes before the last one, and the others stay in their order."""
    attribute = node.attributes.get("perm")
    if attribute is None:
        return False
    axes: Sequence[int] = attribute.as_ints()
    last = len(axes) - 1
    return last >= 2 and list(axes) == [*range(1, last), 0, last]


def _feeds_a_product(node: ir.Node) -> bool:
    return any(use.node.op_type == "MatMul" for use in node.outputs[0].uses())


_LOST_SHARE = 0.01
"""A weight that loses more of its values is warned about."""

KEEP_OPS = {
    "ReduceMean": "sums many values: float16 loses the small ones",
    "ReduceSum": "sums many values: float16 loses the small ones",
    "CumSum": "sums many values: float16 loses the small ones",
    "ReduceL1": "sums many values: float16 loses the small ones",
    "ReduceL2": "sums squares: float16 overflows beyond 255",
    "ReduceSumSquare": "sums squares: float16 overflows beyond 255",
    "Pow": "float16 overflows early in a power",
    "Exp": "float16 overflows beyond 11",
    "Sinh": "float16 overflows beyond 11",
    "Cosh": "float16 overflows beyond 11",
    "ReduceProd": "float16 overflows early in a product of many",
    "ReduceLogSum": "sums many values: float16 loses the small ones",
    "ReduceLogSumExp": "sums many values: float16 loses the small ones",
}
"""Operators that stay in float32, and why."""

_NORM_INTERNALS = ("Mul", "Add", "Sqrt", "Reciprocal", "Div")
"""Operators that make the squares of an unfused norm or use its sums."""


@dataclass(frozen=True)
class Keeping:
    """The nodes that stay in float32 with reasons, the forms of the others, and warnings.

    Nodes of bodies are among them. If, Loop and Scan are in neither: they are what their bodies
    are.
    """

    reasons: dict[ir.Node, str]
    forms: dict[ir.Node, HalfForm]
    warnings: tuple[str, ...] = ()


def keeping(
    graph: ir.Graph,
    keep_nodes: Collection[str] = (),
    keep_ops: Collection[str] = (),
    measured: Mapping[str, str] | None = None,
    traits: Traits = NO_TRAITS,
) -> Keeping:
    """What stays in float32, and what of the rest becomes float16, of a graph with types.

    Each float constant is read once, to find its extremes. `measured` are nodes that measured
    ranges keep, with reasons.

    Raises InputError when `keep_nodes` or `keep_ops` names what the graph does not have.
    """
    extremes = constants_extremes()
    reasons = _by_caller(graph, keep_nodes, keep_ops, measured or {})
    _add(reasons, code_path(graph, traits))
    for node in all_nodes(graph):
        if node.op_type in KEEP_OPS and any(map(is_float, (*node.inputs, *node.outputs))):
            reasons.setdefault(node, KEEP_OPS[node.op_type])
            for other in _around(node):
                reasons.setdefault(other, f"belongs to {node.name}: {KEEP_OPS[node.op_type]}")
    forms = _forms(graph, reasons)
    facts = facts_of(graph, extremes)
    _add(reasons, by_facts(graph, facts))
    _add(reasons, by_angles(graph, facts))
    _add(reasons, by_indices(graph))
    _add(reasons, _by_kernels(graph))
    forms = {node: form for node, form in forms.items() if node not in reasons}
    return Keeping(reasons, forms, tuple(_losses(forms, extremes)))


def _by_caller(
    graph: ir.Graph,
    keep_nodes: Collection[str],
    keep_ops: Collection[str],
    measured: Mapping[str, str],
) -> dict[ir.Node, str]:
    nodes = list(all_nodes(graph))
    by_name = {node.name: node for node in nodes}
    reasons: dict[ir.Node, str] = {}
    for name in keep_nodes:
        if name not in by_name:
            raise InputError(f"{name}: no node of that name; `inspect` lists the names")
        reasons[by_name[name]] = "named by the caller"
    for op_type in keep_ops:
        found = [node for node in nodes if node.op_type == op_type]
        if not found:
            raise InputError(f"{op_type}: no operator of that type; `inspect` lists the operators")
        for node in found:
            reasons.setdefault(node, "its operator is kept by the caller")
    for name, reason in measured.items():
        if name in by_name:
            reasons.setdefault(by_name[name], reason)
    return reasons


def _add(reasons: dict[ir.Node, str], found: Mapping[ir.Node, str]) -> None:
    for node, reason in found.items():
        reasons.setdefault(node, reason)


def _forms(graph: ir.Graph, reasons: dict[ir.Node, str]) -> dict[ir.Node, HalfForm]:
    """Where each float node can hold float16; of those that cannot, `reasons` gets why."""
    shut = {
        inside
        for node in all_nodes(graph)
        if node.op_type not in BRANCHING_OPS
        for body in bodies_of(node)
        for inside in body.all_nodes()
    }
    forms = {}
    for node in all_nodes(graph):
        values = (*node.inputs, *node.outputs)
        if node.op_type in BRANCHING_OPS or all(v is None or v.dtype != FLOAT for v in values):
            continue
        found = "it is in a body that is not converted" if node in shut else half_form(node, graph)
        if isinstance(found, str):
            reasons.setdefault(node, found)
        else:
            forms[node] = found
    return forms


def _losses(
    forms: Mapping[ir.Node, HalfForm], extremes: Callable[[ir.Value], Extremes | None]
) -> Iterator[str]:
    """Warnings about weights that lose many small values."""
    told: set[ir.Value] = set()
    for node, form in forms.items():
        for index in form.inputs:
            value = node.inputs[index]
            if value is None or value in told:
                continue
            told.add(value)
            found = extremes(value)
            if found is not None and found.lost > _LOST_SHARE:
                share = f"{100 * found.lost:.0f} %"
                yield f"{value.name}: {share} of its values round to zero in float16"


def _around(reduction: ir.Node) -> list[ir.Node]:
    """What makes the values that a reduction sums, and what works on its small result."""
    found = [p for v in reduction.inputs if v is not None and (p := v.producer()) is not None]
    pending = list(reduction.outputs[0].consumers())
    while pending:
        reader = pending.pop()
        found.append(reader)
        if reader.op_type in ("Add", "Sqrt", "Reciprocal"):
            pending.extend(reader.outputs[0].consumers())
    return [node for node in found if node.op_type in _NORM_INTERNALS]
