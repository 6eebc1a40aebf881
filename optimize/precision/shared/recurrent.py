"""Recurrent layers: LSTM with 8-bit weights, by ONNX Runtime's own operator or unpacked at load.

DynamicQuantizeLSTM quantizes its input and its state in each step by their own range. GRU and RNN
have no such kernel; weights alone are taken to 8 bits for all three. Weights are
`[directions, gates, inputs]`, with a scale per gate.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.precision.shared.quantize import quantize_by, vector_scales
from optimize.surgery.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    home_of,
    insert,
    int_of,
    read,
    substitute,
    weight_of,
)
from optimize.surgery.scopes import all_nodes, derived
from vampnet_models.onnxfile.operators import MICROSOFT, RECURRENT_OPS

_INT8 = ir.DataType.INT8

_NO_WEIGHTS = "not both of its weights are float32 constants"
AT_RUN_TIME = "the integer LSTM takes the ranges of its input and state at run time"
UNPACKED = "a recurrence: no kernel takes its weights in fewer bits; 8, unpacked at load"


def at_run_time(graph: ir.Graph) -> dict[ir.Node, str]:
    """The LSTMs, which no ranges known beforehand convert, with the reason."""
    return {node: AT_RUN_TIME for node in all_nodes(graph) if node.op_type == "LSTM"}


def exclusions(graph: ir.Graph) -> dict[ir.Node, str]:
    """The recurrent layers that DynamicQuantizeLSTM does not compute, with reasons."""
    found = {}
    for node in all_nodes(graph):
        if node.op_type not in RECURRENT_OPS:
            continue
        reason = _unsuitable(node)
        if reason is not None:
            found[node] = reason
    return found


def _unsuitable(node: ir.Node) -> str | None:
    if node.op_type != "LSTM":
        return f"the runtime has no integer kernel for {node.op_type}, only for LSTM"
    if not _has_weights(node):
        return _NO_WEIGHTS
    if int_of(node, "layout", 0):
        return "its batch comes first: the integer kernel takes time first alone"
    return None


def without_weights(graph: ir.Graph) -> dict[ir.Node, str]:
    """The recurrent layers of which not both weights are constants, with the reason."""
    nodes = (node for node in all_nodes(graph) if node.op_type in RECURRENT_OPS)
    return {node: _NO_WEIGHTS for node in nodes if not _has_weights(node)}


def _has_weights(node: ir.Node) -> bool:
    return weight_of(node, 1) is not None and weight_of(node, 2) is not None


def by_kernel(node: ir.Node) -> None:
    """Replace an LSTM by DynamicQuantizeLSTM; the other inputs and attributes stay its own."""
    inputs = [*node.inputs, *[None] * (8 - len(node.inputs))]
    quantized: list[ir.Value | None] = []
    for index in (1, 2):
        inputs[index], scales, zeros = _for_kernel(node, index)
        quantized.extend((scales, zeros))
    attributes = {k: v.value for k, v in node.attributes.items() if k != "layout"}
    new = insert(
        node,
        "DynamicQuantizeLSTM",
        [*inputs, *quantized],
        attributes,
        name=f"{node.name}/int8",
        domain=MICROSOFT,
        dtypes=[ir.DataType.FLOAT] * len(node.outputs),
    )
    for old, value in zip(node.outputs, new, strict=True):
        if old.uses() or old.is_graph_output():
            substitute(old, value)


def _for_kernel(node: ir.Node, index: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """A weight as `[directions, inputs, gates]` integers, its scales and zero points."""
    value, tensor = node.inputs[index], weight_of(node, index)
    assert value is not None and tensor is not None
    n_directions, n_gates, n_inputs = dims(tensor)

    def make() -> tuple[ir.Value, ir.Value, ir.Value]:
        scales = vector_scales(read(tensor), -1)

        def integers() -> Array:
            return np.ascontiguousarray(quantize_by(read(tensor), scales).transpose(0, 2, 1))

        graph, shape = home_of(value), (n_directions, n_inputs, n_gates)
        zeros = np.zeros((n_directions, n_gates), np.int8)
        return (
            add_weight(graph, f"{value.name}.int8", _INT8, shape, integers),
            add_constant(graph, f"{value.name}.scales", scales[..., 0]),
            add_constant(graph, f"{value.name}.zeros", zeros),
        )

    weight, scales, zeros = derived(value, "int8 gates", make)
    return weight, scales, zeros


def unpacked(node: ir.Node) -> None:
    """Store both weights in 8 bits; the runtime makes floats of them when it loads the model."""
    to = {"to": ir.DataType.FLOAT}
    for index in (1, 2):
        integers, scales = _for_unpacking(node, index)
        shape, name = [integers.shape], f"{node.name}/{'WR'[index - 1]}"
        (floats,) = insert(node, "Cast", [integers], to, name=name, shapes=shape)
        (weight,) = insert(node, "Mul", [floats, scales], name=f"{name}/scaled", shapes=shape)
        node.replace_input_with(index, weight)


def _for_unpacking(node: ir.Node, index: int) -> tuple[ir.Value, ir.Value]:
    """A weight's integers, shaped as it is, and a scale for each gate."""
    value, tensor = node.inputs[index], weight_of(node, index)
    assert value is not None and tensor is not None

    def make() -> tuple[ir.Value, ir.Value]:
        scales = vector_scales(read(tensor), -1)

        def integers() -> Array:
            return quantize_by(read(tensor), scales)

        graph = home_of(value)
        return (
            add_weight(graph, f"{value.name}.int8", _INT8, dims(tensor), integers),
            add_constant(graph, f"{value.name}.scales", scales),
        )

    integers, scales = derived(value, "int8 unpacked", make)
    return integers, scales
