"""A scale per row for a product whose input differs most from row to row.

`x W` is `max|x| * ((x / max|x|) W)`, row by row, exactly in real numbers; the divided rows all
lie between -1 and 1, so one fixed 8-bit scale fits each of them. Where few positions are far larger
than the others (what a gated unit or an attention gives), a scale for all of them rounds most of
them coarsely. Costs a few passes over the input and one over the output, and no calibration.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.surgery.graph import add_constant, graph_of, insert, substitute

_SMALLEST = np.float32(2.0**-100)
"""Stands in for the largest magnitude of a row of zeros."""


def row_scaled(node: ir.Node) -> ir.Node:
    """Replace a MatMul by the product of its scaled rows, scaled back; returns that product."""
    x, weight = node.inputs
    assert x is not None and weight is not None
    graph, name, width = graph_of(node), node.name, x.shape
    rows = None if width is None else [*list(width)[:-1], 1]
    axes = add_constant(graph, f"{name}.rows", np.array([-1], np.int64))
    least = add_constant(graph, f"{name}.least", np.array(_SMALLEST))
    (size,) = insert(node, "Abs", [x], name=f"{name}/size", shapes=[width])
    (peak,) = insert(node, "ReduceMax", [size, axes], name=f"{name}/peak", shapes=[rows])
    (scale,) = insert(node, "Max", [peak, least], name=f"{name}/row_scale", shapes=[rows])
    (even,) = insert(node, "Div", [x, scale], name=f"{name}/even", shapes=[width])
    shape = node.outputs[0].shape
    (product,) = insert(node, "MatMul", [even, weight], name=f"{name}/rows", shapes=[shape])
    (result,) = insert(node, "Mul", [product, scale], name=f"{name}/scaled", shapes=[shape])
    substitute(node.outputs[0], result)
    made = product.producer()
    assert made is not None
    return made
