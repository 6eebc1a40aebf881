"""Products of the optional library: rows times a matrix that lies packed in the model.

`operators/product/product.h` says how: panels of 64 columns, `[panels, depth, 64, 4]` in int8 or
`[panels, depth, 64, 2]` in bfloat16, zeros behind the last. Rows of an integer product get 8 bits
by their own range at run time, so that it needs no calibration. In blocks of up to 64 channels, a
few large values round their own block alone coarsely (Dai et al., "VS-Quant", 2021). A constant
bias and what is added to the whole result join the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir

from optimize.precision.shared.quantize import per_channel_scales, quantize_per_channel
from optimize.surgery.dimensions import Dimensions, dimensions
from optimize.surgery.graph import (
    Array,
    add_constant,
    add_weight,
    constant,
    dims,
    graph_of,
    home_of,
    insert,
    rank_of,
    read,
    substitute,
    tensor_of,
    weight_of,
)
from optimize.surgery.scopes import derived
from optimize.surgery.stand_ins import stored_turned
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN

_PANEL_COLUMNS = 64
_WORD_BYTES = 4
_BLOCK_WORDS = 16
"""Of a row's blocks, at most: shorter ones keep more, and take longer."""

_MOST_AXES = 4
"""The library's tensors have no more."""

_MOST_ROWS = 2**16
"""Of a matrix: as many products of 8 bits fit an int32."""


@dataclass(frozen=True)
class Epilogue:
    """The Adds that a product takes in: of a constant bias, and of a tensor like its result."""

    bias: ir.Node | None = None
    sum: ir.Node | None = None


def taken_products(graph: ir.Graph, nodes: Iterable[ir.Node]) -> dict[ir.Node, Epilogue]:
    """Those of the nodes that the library multiplies, and what each takes in.

    Of the main graph, in float, before any of them is converted.
    """
    known, taken = dimensions(graph), set[ir.Node]()
    found = {}
    for node in nodes:
        if node.graph is not graph or not _is_taken(node):
            continue
        bias = _bias_behind(node)
        behind = _sum_behind((bias or node).outputs[0], known)
        # Of two products that are added, the first takes the other in.
        both = None if behind in taken else behind
        taken.update(each for each in (bias, both) if each is not None)
        found[node] = Epilogue(bias, both)
    return found


def _is_taken(node: ir.Node) -> bool:
    """Whether it is a MatMul of float32 rows by a matrix of its own."""
    x, value, tensor = node.inputs[0], node.inputs[1], weight_of(node)
    if node.op_type != "MatMul" or x is None or value is None or tensor is None:
        return False
    rank = rank_of(x)
    return (
        x.dtype == tensor.dtype == ir.DataType.FLOAT
        and rank is not None
        and 1 < rank <= _MOST_AXES
        and len(dims(tensor)) == 2
        and dims(tensor)[0] <= _MOST_ROWS
        and stored_turned(value) is None
        and all(each.op_type != "Gather" for each in value.consumers())
    )


def integer_product(
    node: ir.Node,
    epilogue: Epilogue,
    chosen: Callable[[], Array] | None = None,
    in_blocks: bool = False,
) -> None:
    """Replace a MatMul that is taken: the nearest integers, unless they are `chosen`.

    A weight of several nodes is stored once; what was chosen the first time holds for all. A row
    has one range, or `in_blocks` one for each block of its channels.
    """
    value, tensor = node.inputs[1], weight_of(node)
    assert value is not None and tensor is not None
    n_blocks = -(-_depth(tensor, _WORD_BYTES) // _BLOCK_WORDS) if in_blocks else None

    def make() -> tuple[ir.Value, ir.Value, ir.Value]:
        scales = per_channel_scales(read(tensor), 1)

        def integers() -> Array:
            return quantize_per_channel(read(tensor), scales, 1) if chosen is None else chosen()

        graph = home_of(value)
        sums = _sums(integers(), n_blocks)
        return (
            _packed(value, ir.DataType.INT8, integers),
            add_constant(graph, f"{value.name}.scales", scales),
            add_constant(graph, f"{value.name}.sums", sums),
        )

    op_type = "IntegerBlockProduct" if in_blocks else "IntegerProduct"
    _replace(node, op_type, derived(value, f"panels of {op_type}", make), epilogue)


def _sums(integers: Array, n_blocks: int | None) -> Array:
    """Of each column `[columns]` int32, or of its blocks `[n_blocks, columns]` int16.

    A block is so short that its sums fit.
    """
    if n_blocks is None:
        return np.asarray(integers.sum(axis=0, dtype=np.int32))
    depth = -(-len(integers) // _WORD_BYTES)
    starts = np.arange(n_blocks) * (-(-depth // n_blocks) * _WORD_BYTES)
    return np.asarray(np.add.reduceat(integers, starts, axis=0, dtype=np.int16))


def bfloat16_product(node: ir.Node, epilogue: Epilogue) -> None:
    """Replace a MatMul that is taken; weights are rounded to the nearest."""
    value, tensor = node.inputs[1], weight_of(node)
    assert value is not None and tensor is not None

    def make() -> tuple[ir.Value]:
        return (_packed(value, ir.DataType.BFLOAT16, lambda: bfloat16_of(tensor)),)

    _replace(node, "Bfloat16Product", derived(value, "bfloat16 panels", make), epilogue)


def bfloat16_of(tensor: ir.TensorProtocol) -> Array:
    """A constant's values, each the nearest of bfloat16."""
    rounded: Array = read(tensor).astype(ml_dtypes.bfloat16)
    return rounded


def _packed(value: ir.Value, dtype: ir.DataType, compute: Callable[[], Array]) -> ir.Value:
    tensor = tensor_of(value)
    assert tensor is not None
    (rows, columns), per_word = dims(tensor), int(_WORD_BYTES // dtype.itemsize)
    depth, panels = _depth(tensor, per_word), -(-columns // _PANEL_COLUMNS)
    shape = (panels, depth, _PANEL_COLUMNS, per_word)

    def pack() -> Array:
        matrix = compute()
        padded = np.zeros((depth * per_word, panels * _PANEL_COLUMNS), matrix.dtype)
        padded[:rows, :columns] = matrix
        words = padded.reshape(depth, per_word, panels, _PANEL_COLUMNS)
        return np.ascontiguousarray(words.transpose(2, 0, 3, 1))

    return add_weight(home_of(value), f"{value.name}.{dtype.name.lower()}", dtype, shape, pack)


def _depth(tensor: ir.TensorProtocol, per_word: int) -> int:
    """The words of a row."""
    return -(-dims(tensor)[0] // per_word)


def _replace(node: ir.Node, op_type: str, weight: Sequence[ir.Value], epilogue: Epilogue) -> None:
    graph, tensor = graph_of(node), weight_of(node)
    assert tensor is not None
    columns = dims(tensor)[1]
    last, inputs = node, [node.inputs[0], *weight]
    if epilogue.bias is None:
        bias = np.zeros(columns, np.float32)
    else:
        given = constant(_other(epilogue.bias, last.outputs[0]))
        assert given is not None
        bias = np.broadcast_to(given.reshape(-1), (columns,)).astype(np.float32)
        last = epilogue.bias
    inputs.append(add_constant(graph, f"{node.name}.bias", bias))
    if epilogue.sum is not None:
        inputs.append(_other(epilogue.sum, last.outputs[0]))
        last = epilogue.sum
    (made,) = insert(
        last,
        op_type,
        inputs,
        name=node.name or op_type,
        domain=NATIVE_DOMAIN,
        shapes=[last.outputs[0].shape],
    )
    substitute(last.outputs[0], made)


def _other(add: ir.Node, value: ir.Value) -> ir.Value | None:
    """What is added to a value."""
    return add.inputs[1] if add.inputs[0] is value else add.inputs[0]


def _only_add(value: ir.Value) -> ir.Node | None:
    """The Add that is all that reads a value, of something else."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output() or value.consumers()[0].op_type != "Add":
        return None
    return value.consumers()[0]


def _bias_behind(node: ir.Node) -> ir.Node | None:
    add, tensor = _only_add(node.outputs[0]), weight_of(node)
    if add is None or tensor is None:
        return None
    bias, columns = constant(_other(add, node.outputs[0])), dims(tensor)[1]
    fits = bias is not None and bias.size in (1, columns) and bias.shape[-1:] in ((), (bias.size,))
    rank = rank_of(node.outputs[0])
    return add if fits and bias is not None and rank is not None and bias.ndim <= rank else None


def _sum_behind(value: ir.Value, known: Dimensions) -> ir.Node | None:
    """The Add of another tensor that has the very dimensions of this one, known before it runs."""
    add = _only_add(value)
    other = None if add is None else _other(add, value)
    if add is None or other is None or tensor_of(other) is not None or other.graph is not add.graph:
        return None
    here, there = known.of(value), known.of(other)
    return add if here is not None and here == there else None
