"""A scale per row for a product whose input differs most from row to row.

`x W` is `max|x| * ((x / max|x|) W)`, row by row, exactly in real numbers; the divided rows all
lie between -1 and 1, so one fixed 8-bit scale fits each of them. Where few positions are far larger
than the others (what a gated unit or an attention gives), a scale for all of them rounds most of
them coarsely. Costs a few passes over the input and one over the output, and no calibration.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    graph_of,
    insert,
    read,
    substitute,
    weight_of,
)

SMALLEST = np.float32(2.0**-100)
"""Stands in for the largest magnitude of a row of zeros."""


def in_blocks(node: ir.Node, blocks: int) -> list[ir.Node]:
    """Replace a MatMul by the sum of `blocks` products of its input's channels; returns those.

    Each then has scales of its own, for the rows of its input and the columns of its weight, at
    the price of a pass over the result. One block is the node itself.
    """
    tensor, (x, weight) = weight_of(node), node.inputs
    assert tensor is not None and x is not None and weight is not None
    if blocks == 1:
        return [node]
    n_rows, n_columns = dims(tensor)
    height, graph, shape = n_rows // blocks, graph_of(node), node.outputs[0].shape
    parts = insert(
        node,
        "Split",
        [x],
        {"axis": -1, "num_outputs": blocks},
        name=f"{node.name}/blocks",
        dtypes=[ir.DataType.FLOAT] * blocks,
        shapes=[None if x.shape is None else [*list(x.shape)[:-1], height]] * blocks,
    )
    total: ir.Value | None = None
    made = []
    for number, part in enumerate(parts):
        rows = slice(number * height, (number + 1) * height)
        name = f"{node.name}/block_{number}"
        piece = add_weight(
            graph,
            f"{weight.name}.block_{number}",
            tensor.dtype,
            (height, n_columns),
            partial(_rows, tensor, rows),
        )
        (product,) = insert(node, "MatMul", [part, piece], name=name, shapes=[shape])
        producer = product.producer()
        assert producer is not None
        made.append(producer)
        if total is None:
            total = product
        else:
            inputs = [total, product]
            (total,) = insert(node, "Add", inputs, name=f"{name}/sum", shapes=[shape])
    assert total is not None
    substitute(node.outputs[0], total)
    return made


def _rows(tensor: ir.TensorProtocol, rows: slice) -> Array:
    return read(tensor)[rows]


def row_scaled(node: ir.Node) -> ir.Node:
    """Replace a MatMul by the product of its scaled rows, scaled back; returns that product."""
    x, weight = node.inputs
    assert x is not None and weight is not None
    graph, name, width = graph_of(node), node.name, x.shape
    rows = None if width is None else [*list(width)[:-1], 1]
    axes = add_constant(graph, f"{name}.rows", np.array([-1], np.int64))
    least = add_constant(graph, f"{name}.least", np.array(SMALLEST))
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
