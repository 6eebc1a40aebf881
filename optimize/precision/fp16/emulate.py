"""Real float16 arithmetic on a machine without float16 kernels: each result rounded.

The x86 CPU provider computes a float16 graph in float32, which tests the weights' rounding alone.
Here every value that the converted model would hold in float16 passes through it, by a Cast there
and back behind each node, in a float32 graph. Kernels of real devices may accumulate in float16
too; this rounds results only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.precision.fp16.extremes import halved
from optimize.precision.fp16.forms import FLOAT, HalfForm, is_float
from optimize.surgery.graph import (
    Array,
    cast,
    derived_weight,
    dims,
    home_of,
    insert_behind,
    read,
    tensor_of,
)
from optimize.surgery.scopes import all_nodes, scope_of

_HALF = ir.DataType.FLOAT16


def emulate(graph: ir.Graph, forms: Mapping[ir.Node, HalfForm]) -> int:
    """Round what `forms` would make float16, in place; returns how many values."""
    made = [node.outputs[i] for node, form in forms.items() for i in sorted(form.outputs)]
    behind = [value for value in made if value.uses() or value.is_graph_output()]
    read: dict[ir.Value, list[tuple[ir.Node, int]]] = {}
    for node, form in forms.items():
        for index in sorted(form.inputs):
            value = node.inputs[index]
            # Weights and what float32 nodes or the user give is rounded as it comes in.
            if value is not None and is_float(value) and value.producer() not in forms:
                read.setdefault(value, []).append((node, index))
    for value, places in read.items():
        rounded = _there_and_back(value)
        for node, index in places:
            node.replace_input_with(index, rounded)
    order = {node: place for place, node in enumerate(all_nodes(graph))}
    for value in sorted(behind, key=lambda v: order[_maker(v)]):
        _round_behind(value)
    return len(read) + len(behind)


def _maker(value: ir.Value) -> ir.Node:
    maker = value.producer()
    assert maker is not None
    return maker


def _round_behind(value: ir.Value) -> None:
    """All that read the value read it rounded; a graph output hands its name on."""
    uses = tuple(value.uses())
    graph = home_of(value)
    places = [index for index, output in enumerate(graph.outputs) if output is value]
    new = _there_and_back(value)
    for reader, index in uses:
        reader.replace_input_with(index, new)
    for index in places:
        graph.outputs[index] = new
        name = value.name
        value.name = scope_of(graph).name_value(f"{name}/unrounded")
        new.name = name


def _there_and_back(value: ir.Value) -> ir.Value:
    """The value rounded, beside where it is made; a constant is rounded as a converted one is."""
    tensor = tensor_of(value)
    if tensor is not None:
        return derived_weight(value, "rounded", FLOAT, dims(tensor), partial(_rounded, tensor))
    half = cast(value, _HALF, home_of(value), name=f"{value.name}/rounded/half")
    back = cast(half.outputs[0], FLOAT, home_of(value), name=f"{value.name}/rounded")
    insert_behind(value, [half, back])
    return back.outputs[0]


def _rounded(tensor: ir.TensorProtocol) -> Array:
    return halved(read(tensor)).astype(np.float32)
