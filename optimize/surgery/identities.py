"""Identity nodes removed, in the main graph and in the bodies of If, Loop and Scan.

A value that another one stands for keeps the name, type and shape that its graph promised.
"""

from __future__ import annotations

import onnx_ir as ir


def remove_identities(model: ir.Model) -> int:
    """Remove each Identity that nothing needs, in place; returns how many.

    One stays where its output is a graph's and its input cannot take that place: an input, an
    initializer, a value of an outer graph, or an output of a graph already.
    """
    removed = 0
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.op_type == "Identity" and node.domain == "" and _remove(node):
            removed += 1
    return removed


def _remove(node: ir.Node) -> bool:
    if len(node.inputs) != 1 or len(node.outputs) != 1 or not isinstance(node.graph, ir.Graph):
        return False
    source, copy, graph = node.inputs[0], node.outputs[0], node.graph
    if source is None:
        return False
    if copy.is_graph_output():
        if not (is_output(copy, graph) and can_be_output(source, graph)):
            read_instead(copy, source)
            return False
        take_place(graph, copy, source)
    elif source.type is None:
        source.type = copy.type
    read_instead(copy, source)
    graph.remove(node, safe=True)
    return True


def read_instead(old: ir.Value, new: ir.Value) -> None:
    """Let the nodes that read `old` read `new`, those of inner graphs too; outputs stay."""
    for use in tuple(old.uses()):
        use.node.replace_input_with(use.idx, new)


def can_be_output(value: ir.Value, graph: ir.Graph) -> bool:
    """Whether a value may become an output of `graph`: a node of it makes it, and no graph has it
    as an output yet."""
    producer = value.producer()
    return producer is not None and producer.graph is graph and not value.is_graph_output()


def is_output(value: ir.Value, graph: ir.Graph) -> bool:
    """Whether `graph` itself has this output: another one may hand on a value of it."""
    return any(output is value for output in graph.outputs)


def take_place(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """Make `new` the output of `graph` that `old` was: same place, name, type and shape."""
    name = old.name
    for index, output in enumerate(graph.outputs):
        if output is old:
            graph.outputs[index] = new
    if old.type is not None:
        new.type = old.type
    if old.shape is not None:
        new.shape = old.shape
    old.name = f"{name}.replaced"
    new.name = name
