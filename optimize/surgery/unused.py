"""Nodes and initializers that no output needs are removed, in every graph of a model."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from optimize.surgery.scopes import bodies_of


def remove_unused(model: ir.Model) -> None:
    """Remove what no output needs, in place; inputs and outputs of all graphs stay."""
    _remove_nodes(model.graph)
    # What is left loses the optional outputs that nothing reads.
    RemoveUnusedNodesPass()(model)
    for graph in model.graphs():
        for value in list(graph.initializers.values()):
            needed = value.uses() or value.is_graph_output() or value.is_graph_input()
            if not needed and value.name is not None:
                graph.initializers.pop(value.name)


def discard(node: ir.Node) -> None:
    """Remove a node of which nothing is read. Its bodies no longer count as readers of values."""
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise TypeError(f"{node.name}: not in a graph")
    for inner in bodies_of(node):
        for each in ir.traversal.RecursiveGraphIterator(inner):
            for index in range(len(each.inputs)):
                each.replace_input_with(index, None)
    graph.remove(node, safe=True)


def _remove_nodes(graph: ir.Graph) -> None:
    for node in reversed(graph):
        if any(value.uses() or value.is_graph_output() for value in node.outputs):
            for inner in bodies_of(node):
                _remove_nodes(inner)
        else:
            discard(node)
