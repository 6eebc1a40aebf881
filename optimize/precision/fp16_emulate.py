"""Real float16 arithmetic on a machine without float16 kernels: each result rounded.

The x86 CPU provider computes a float16 graph in float32, which tests the weights' rounding alone.
Here every value that the converted model would hold in float16 passes through it, by a Cast there
and back behind each node, in a float32 graph. Kernels of real devices may accumulate in float16
too; this rounds results only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx_ir as ir

from optimize.graph import infer_shapes, insert
from optimize.precision.fp16_keep import reasons_to_keep

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


def emulate(
    model: ir.Model,
    *,
    keep_nodes: Collection[str] = (),
    keep_ops: Collection[str] = (),
    measured: Mapping[str, str] | None = None,
) -> int:
    """Round what `fp16.convert` would make float16, in place; returns how many values.

    The arguments are those of `fp16.convert`, and so are the nodes that it leaves.
    """
    graph = model.graph
    reasons, _ = reasons_to_keep(model, keep_nodes, keep_ops, measured or {})
    infer_shapes(model)
    halved = dict.fromkeys(node for node in graph if node not in reasons)
    rounded: dict[ir.Value, ir.Value] = {}
    count = 0
    for node in halved:
        for index, value in enumerate(node.inputs):
            # Weights and what float32 nodes or the user give is rounded as it comes in.
            if value is None or value.dtype != FLOAT or value.producer() in halved:
                continue
            if node.op_type == "Cast":  # reads what is there, as the converted one does
                continue
            if value not in rounded:
                rounded[value] = _round_before(node, value)
                count += 1
            node.replace_input_with(index, rounded[value])
    for node in halved:
        for value in node.outputs:
            if value.dtype == FLOAT and (value.uses() or value.is_graph_output()):
                _round_behind(node, value)
                count += 1
    return count


def _round_before(node: ir.Node, value: ir.Value) -> ir.Value:
    """The rounded value; its Casts stand before the first of its readers in the graph."""
    graph = node.graph
    assert graph is not None
    readers = set(value.consumers())
    first = next((each for each in graph if each in readers), node)
    return _there_and_back(first, value)


def _round_behind(node: ir.Node, value: ir.Value) -> None:
    """All that read the value read it rounded; a graph output hands its name on."""
    uses = tuple(value.uses())
    graph = node.graph
    assert graph is not None
    marker = ir.Node("", "Identity", [value], name=f"{value.name}/behind")
    graph.insert_after(node, marker)
    new = _there_and_back(marker, value)
    graph.remove(marker, safe=True)
    for reader, index in uses:
        reader.replace_input_with(index, new)
    if value.is_graph_output():
        graph.outputs[list(graph.outputs).index(value)] = new
        value.name, new.name = f"{value.name}/unrounded", value.name


def _there_and_back(before: ir.Node, value: ir.Value) -> ir.Value:
    name, shape = f"{value.name}/rounded", value.shape
    (half,) = insert(
        before,
        "Cast",
        [value],
        {"to": HALF.value},
        name=f"{name}/half",
        dtypes=(HALF,),
        shapes=[shape],
    )
    (back,) = insert(before, "Cast", [half], {"to": FLOAT.value}, name=name, shapes=[shape])
    return back
