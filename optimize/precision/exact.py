"""Integer models that may be asked for exact sums: `vampnet_models.onnxfile.exact` tells why."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.surgery.graph import add_constant, graph_of
from vampnet_models.onnxfile.exact import EXACT_KEY

_OF_INTEGERS = ("MatMulInteger", "ConvInteger", "QuantizeLinear", "DynamicQuantizeLSTM")


def ask_for_exact_products(model: ir.Model) -> bool:
    """Mark an integer model in place, after its scales got the zero points that the runtime needs.

    Returns whether its sums of products are cut on x86 without VNNI: it has int8 weights in
    products of integers, and must not be marked, because two nodes read one of them, or because
    values are int8 too, of which the runtime has no exact products there.
    """
    nodes = list(model.graph.all_nodes())
    weights = {
        value: node
        for node in nodes
        for value in node.inputs
        if value is not None and value.is_initializer() and value.dtype is ir.DataType.INT8
    }
    if not weights or not any(node.op_type in _OF_INTEGERS for node in nodes):
        return False
    if any(_makes_int8(node) for node in nodes):
        return True
    if any(len(each.uses()) > 1 or each.graph is not node.graph for each, node in weights.items()):
        return True
    for value, node in weights.items():
        if node.op_type == "DequantizeLinear" and len(node.inputs) == 2:
            _add_zero_points(value, node)
    model.metadata_props[EXACT_KEY] = "1"
    return False


def _makes_int8(node: ir.Node) -> bool:
    return node.op_type == "QuantizeLinear" and node.outputs[0].dtype is ir.DataType.INT8


def _add_zero_points(weight: ir.Value, node: ir.Node) -> None:
    """One of its own for every scale: a shared one would count as a shared weight."""
    scales = node.inputs[1]
    assert scales is not None
    shape = [size for size in scales.shape or () if isinstance(size, int)]
    zeros = add_constant(graph_of(node), f"{weight.name}.zeros", np.zeros(shape, np.int8))
    node.resize_inputs(3)
    node.replace_input_with(2, zeros)
