"""A float convolution over time, the Snake before it and the sum behind it -> one operator of the
optional library.

`operators/codec/convolution.h` says how weights lie: panels of 8 channels of the result, in the
type that they are stored in. A ConvTranspose of stride s is a plain convolution that makes s
results for each position: result r of a position reads every s-th tap, from the r-th on, in
reverse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.dimensions import dimensions
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    add_weight,
    constant,
    dims,
    graph_of,
    home_of,
    insert,
    int_of,
    ints_of,
    read,
    string_of,
    substitute,
    tensor_of,
)
from optimize.surgery.scopes import derived
from vampnet_models.onnxfile.operators import NATIVE_CONV, NATIVE_DOMAIN

_PANEL_CHANNELS = 8
_SUM_INPUT = 7
"""Where the operator takes the tensor that is added to its result."""

_NOT_PADDED = ("NOTSET", "VALID")
_STORED = {
    *(ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.INT8),
}
"""Types that the runtime widens to float32 without loss."""


@dataclass(frozen=True)
class _Geometry:
    """What the operator takes as its `geometry`, and how many taps a position reads."""

    stride: int
    dilation: int
    before: int
    behind: int
    up: int
    trim: int
    trim_behind: int
    taps: int

    def stored(self) -> Array:
        """As the operator reads it: int32 `[7]`."""
        read = (self.stride, self.dilation, self.before, self.behind)
        return np.array((*read, self.up, self.trim, self.trim_behind), np.int32)


@dataclass(frozen=True)
class _Weight:
    """The stored weight of a convolution, and its scale per channel of the result if it has one."""

    value: ir.Value
    tensor: ir.TensorProtocol
    scales: Array | None


@dataclass(frozen=True)
class _Convolution:
    """A Conv or ConvTranspose; the Snake whose only reader it is; the Add that alone reads it."""

    node: ir.Node
    geometry: _Geometry
    weight: _Weight
    bias: Array | None
    snake: ir.Node | None
    add: ir.Node | None


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Convolutions over one axis."""
    for node in graph:
        if node.domain == "" and node.op_type in ("Conv", "ConvTranspose"):
            weight = _weight(node)
            if weight is not None and len(weight.tensor.shape) == 3:
                yield node


def _match(node: ir.Node) -> _Convolution:
    weight, x = _weight(node), node.inputs[0]
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias = constant(given)
    if weight is None or (given is not None and bias is None):
        raise NoMatch("its weight or bias is not constant")
    if x is None or x.dtype != ir.DataType.FLOAT:
        raise NoMatch("its input is not of float32")
    if int_of(node, "group", 1) != 1:
        raise NoMatch("it is grouped")
    if string_of(node, "auto_pad", "NOTSET") not in _NOT_PADDED:
        raise NoMatch("its padding is given by auto_pad")
    transposed = node.op_type == "ConvTranspose"
    kernel = dims(weight.tensor)[2]
    geometry = _transposed(node, kernel) if transposed else _plain(node, kernel)
    maker = x.producer()
    alone = len(x.uses()) == 1 and not x.is_graph_output()
    is_snake = maker is not None and (maker.domain, maker.op_type) == (NATIVE_DOMAIN, "Snake")
    snake = maker if is_snake and alone else None
    add = None if transposed else _sum_behind(node)
    return _Convolution(node, geometry, weight, bias, snake, add)


def _weight(node: ir.Node) -> _Weight | None:
    """What is stored for a float32 weight: itself, or what is widened to it when a session opens.

    Dequantized values too, where they have a scale per channel of the result and 0 means 0.
    """
    value = node.inputs[1]
    maker = None if value is None else value.producer()
    scales = None
    if maker is not None and maker.op_type == "Cast" and value is not None:
        if value.dtype != ir.DataType.FLOAT:
            return None
        value = maker.inputs[0]
    elif maker is not None and maker.op_type == "DequantizeLinear":
        value, scales = maker.inputs[0], constant(maker.inputs[1])
        zeros = constant(maker.inputs[2]) if len(maker.inputs) > 2 else None
        along = 1 if node.op_type == "ConvTranspose" else 0
        if scales is None or scales.ndim != 1 or int_of(maker, "axis", 1) != along:
            return None
        if (zeros is not None and zeros.any()) or int_of(maker, "block_size", 0):
            return None
    tensor = tensor_of(value)
    if value is None or tensor is None or tensor.dtype not in _STORED:
        return None
    return _Weight(value, tensor, scales)


def _pads(node: ir.Node) -> tuple[int, int]:
    before, behind = ints_of(node, "pads", (0, 0))
    if before < 0 or behind < 0:
        raise NoMatch("its padding is negative")
    return before, behind


def _plain(node: ir.Node, kernel: int) -> _Geometry:
    before, behind = _pads(node)
    (stride,), (dilation,) = ints_of(node, "strides", (1,)), ints_of(node, "dilations", (1,))
    return _Geometry(stride, dilation, before, behind, 1, 0, 0, kernel)


def _transposed(node: ir.Node, kernel: int) -> _Geometry:
    if ints_of(node, "dilations", (1,)) != (1,) or "output_shape" in node.attributes:
        raise NoMatch("it is dilated, or its result has a length of its own")
    (up,), (added,) = ints_of(node, "strides", (1,)), ints_of(node, "output_padding", (0,))
    trim, end = _pads(node)
    taps = -(-kernel // up)
    # The operator's results end with those of the last position; the taps behind the kernel are 0.
    trim_behind = taps * up - kernel + end - added
    if trim_behind < 0:
        raise NoMatch("its output padding exceeds its padding")
    return _Geometry(1, 1, taps - 1, taps - 1, up, trim, trim_behind, taps)


def _sum_behind(node: ir.Node) -> ir.Node | None:
    """The Add of another tensor that has the very dimensions of this one."""
    value = node.outputs[0]
    uses = value.consumers()
    if len(uses) != 1 or value.is_graph_output() or uses[0].op_type != "Add":
        return None
    add = uses[0]
    other = add.inputs[1] if add.inputs[0] is value else add.inputs[0]
    if other is None or other is value or tensor_of(other) is not None:
        return None
    if other.graph is not add.graph:
        return None
    known = dimensions(graph_of(node))
    here, there = known.of(value), known.of(other)
    return add if here is not None and here == there else None


def _packed(weight: _Weight, geometry: _Geometry, transposed: bool) -> ir.Value:
    value, tensor = weight.value, weight.tensor
    shape = dims(tensor)
    n_in, n_out = (shape[0], shape[1] * geometry.up) if transposed else (shape[1], shape[0])
    panels = -(-n_out // _PANEL_CHANNELS)

    def pack() -> Array:
        rows = _phases(read(tensor), geometry) if transposed else read(tensor)
        padded = np.zeros((panels * _PANEL_CHANNELS, n_in, geometry.taps), rows.dtype)
        padded[:n_out] = rows
        parted = padded.reshape(panels, _PANEL_CHANNELS, n_in, geometry.taps)
        return np.ascontiguousarray(parted.transpose(0, 2, 3, 1))

    def make() -> tuple[ir.Value]:
        form = (panels, n_in, geometry.taps, _PANEL_CHANNELS)
        return (add_weight(home_of(value), f"{value.name}.panels", tensor.dtype, form, pack),)

    return derived(value, ("convolution panels", transposed, geometry.up), make)[0]


def _phases(weight: Array, geometry: _Geometry) -> Array:
    """`[in, out, kernel]` of a ConvTranspose as `[out * up, in, taps]`."""
    n_in, n_out, kernel = weight.shape
    whole = np.zeros((n_in, n_out, geometry.taps * geometry.up), weight.dtype)
    whole[:, :, :kernel] = weight
    parted = whole.reshape(n_in, n_out, geometry.taps, geometry.up)[:, :, ::-1]
    return parted.transpose(1, 3, 0, 2).reshape(n_out * geometry.up, n_in, geometry.taps)


def _rewrite(_graph: ir.Graph, found: _Convolution) -> None:
    node, geometry = found.node, found.geometry
    graph, transposed = graph_of(node), node.op_type == "ConvTranspose"
    n_out = dims(found.weight.tensor)[1 if transposed else 0]
    name = node.name or "convolution"
    bias = np.zeros(n_out) if found.bias is None else found.bias
    scales = np.ones(n_out) if found.weight.scales is None else found.weight.scales
    packed = _packed(found.weight, geometry, transposed)
    if packed.dtype != ir.DataType.FLOAT:
        to = {"to": ir.DataType.FLOAT}
        (packed,) = insert(node, "Cast", [packed], to, name=f"{name}/weight", shapes=[packed.shape])
    inputs: list[ir.Value | None] = [node.inputs[0], packed]
    for label, values in (("scales", scales), ("bias", bias)):
        inputs.append(add_constant(graph, f"{name}.{label}", values.astype(np.float32)))
    inputs.append(add_constant(graph, f"{name}.geometry", geometry.stored()))
    if found.snake is not None:
        inputs[0] = found.snake.inputs[0]
        inputs += found.snake.inputs[1:3]
    last = node
    if found.add is not None:
        inputs += [None] * (_SUM_INPUT - len(inputs))
        value = node.outputs[0]
        add = found.add
        inputs.append(add.inputs[1] if add.inputs[0] is value else add.inputs[0])
        last = add
    (made,) = insert(
        last,
        NATIVE_CONV,
        inputs,
        name=f"{name}/native",
        domain=NATIVE_DOMAIN,
        shapes=[last.outputs[0].shape],
    )
    substitute(last.outputs[0], made)
    made_node = made.producer()
    assert made_node is not None
    # What was said of the node, by name, holds of what it became.
    made_node.name = name


RULE = Rule("native_conv", _candidates, _match, _rewrite)
