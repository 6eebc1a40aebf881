"""A graph with the bodies of its If, Loop and Scan nodes: every node, names, shared copies.

ONNX forbids that a value of a body has the name of one that the body can see. Names of what is
inserted are therefore free in the main graph and in every body at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

_SCOPE = "optimize.scope"
_DERIVED = "optimize.derived"


@dataclass(frozen=True)
class Scope:
    """The main graph, and every name in it and its bodies: of values, and of nodes."""

    main: ir.Graph
    values: set[str]
    nodes: set[str]

    def name_value(self, name: str) -> str:
        """`name`, or `name_2`, ... when a value has it already; nobody else gets it then."""
        return _take(name, self.values)

    def name_node(self, name: str) -> str:
        """The same for a node."""
        return _take(name, self.nodes)


def _take(name: str, taken: set[str]) -> str:
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    taken.add(unique)
    return unique


def all_nodes(graph: ir.Graph) -> Iterator[ir.Node]:
    """The nodes of a main graph and of all its bodies; a node comes before those of its bodies.

    Values of outer scopes are the same objects in a body: `value.graph` is the graph that holds
    one, `graph_of` that of a node. Nodes may be inserted and removed on the way.
    """
    scope_of(graph)
    return iter(list(graph.all_nodes()))


def bodies_of(node: ir.Node) -> tuple[ir.Graph, ...]:
    """The bodies that a node holds."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return tuple(found)


def body_nodes(graph: ir.Graph) -> Iterator[ir.Node]:
    """Those of `all_nodes` that are in a body."""
    return (node for node in all_nodes(graph) if node.graph is not graph)


def scope_of(graph: ir.Graph) -> Scope:
    """The scope of a main graph, or of a body whose main graph `all_nodes` was asked for.

    It is kept with the graphs. Names that others give to new values meanwhile are not in it.
    """
    known = graph.meta.get(_SCOPE)
    if isinstance(known, Scope):
        return known
    scope = Scope(graph, set(), set())
    for each in (graph, *graph.subgraphs()):
        each.meta[_SCOPE] = scope
        held = (*each.inputs, *each.initializers.values())
        scope.values.update(value.name for value in held if value.name)
    for node in graph.all_nodes():
        scope.nodes.add(node.name or "")
        scope.values.update(value.name for value in node.outputs if value.name)
    return scope


def name_nodes_apart(graph: ir.Graph) -> None:
    """Rename the nodes of bodies that share their name with another node of the model."""
    seen: set[str] = set()
    for node in graph.all_nodes():
        node.name = _take(node.name or node.op_type, seen)


def renew(graph: ir.Graph) -> None:
    """Collect the names of a main graph and its bodies anew, where others made or renamed some."""
    for each in (graph, *graph.subgraphs()):
        each.meta.pop(_SCOPE, None)
    scope_of(graph)


def derived(
    source: ir.Value, form: Hashable, make: Callable[[], Sequence[ir.Value]]
) -> Sequence[ir.Value]:
    """What was made of a constant in that form before, or what `make` makes of it now.

    So that a weight with many readers is stored once. Forgotten where the constant has other values
    since, or where what was made of it is in no graph any more.
    """
    known: dict[Hashable, tuple[ir.TensorProtocol | None, Sequence[ir.Value]]]
    known = source.meta.setdefault(_DERIVED, {})
    tensor, made = known.get(form, (None, ()))
    if not made or tensor is not source.const_value or any(v.graph is None for v in made):
        made = make()
        known[form] = (source.const_value, made)
    return made
