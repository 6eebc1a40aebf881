"""`y[s m + p - pad] = W[:, :, p]' x[m] + W[:, :, p + s]' x[m - 1]` for phases `0 <= p < s`
-> a Conv with two taps that makes all phases, and a pixel shuffle.

That is ConvTranspose with kernel 2 s and stride s. The Conv's `[batch, length + 1, s * channels]`
rows are read as `[batch, s * (length + 1), channels]` and cropped (Shi et al. 2016, "sub-pixel
convolution"). The runtime has integer kernels for Conv and none for ConvTranspose; in float32
neither form is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    Dimension,
    NoMatch,
    add_constant,
    derived_weight,
    dims,
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

_SWAP = [0, 2, 1]
_TO_THE_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Upsampling:
    """A matched ConvTranspose `[in, out, 2 * stride]`."""

    node: ir.Node
    weight: ir.TensorProtocol
    bias: ir.TensorProtocol | None
    stride: int
    crop_begin: int
    crop_end: int


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    yield from (node for node in graph if node.op_type == "ConvTranspose")


def _match(node: ir.Node) -> _Upsampling:
    weight = tensor_of(node.inputs[1])
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    bias = tensor_of(node.inputs[2]) if has_bias else None
    if weight is None or (has_bias and bias is None):
        raise NoMatch("its weight or bias is not constant")
    if len(weight.shape) != 3:
        raise NoMatch(f"it has {len(weight.shape) - 2} spatial axes, not one")
    stride, kernel = ints_of(node, "strides", (1,))[0], dims(weight)[2]
    # Only then each output reads two inputs, and a Conv of two taps makes all phases of a stride.
    if kernel != 2 * stride:
        raise NoMatch(f"its kernel {kernel} is not twice its stride {stride}")
    if int_of(node, "group", 1) != 1 or ints_of(node, "dilations", (1,)) != (1,):
        raise NoMatch("it is grouped or dilated")
    if string_of(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        raise NoMatch("its padding is given by auto_pad or output_shape")
    begin, end = ints_of(node, "pads", (0, 0))
    # Output padding gives back at the end what padding takes there.
    crop_end = end - ints_of(node, "output_padding", (0,))[0]
    if crop_end < 0:
        raise NoMatch("its output padding exceeds its padding")
    return _Upsampling(node, weight, bias, stride, begin, crop_end)


def _polyphase(weight: Array, stride: int) -> Array:
    """`[in, out, 2s]` of a ConvTranspose as `[s * out, in, 2]` of a Conv; phase is the slow axis.

    Tap 0 of the Conv reads input m - 1, which meets the second half of the kernel.
    """
    n_in, n_out, _ = weight.shape
    halves = weight.reshape(n_in, n_out, 2, stride)[:, :, ::-1, :]
    return np.ascontiguousarray(halves.transpose(3, 1, 0, 2).reshape(stride * n_out, n_in, 2))


def _repeated(source: ir.Value | None, bias: ir.TensorProtocol, stride: int) -> ir.Value:
    assert source is not None

    def make() -> tuple[ir.Value]:
        repeated = np.tile(read(bias), stride)
        return (add_constant(home_of(source), f"{source.name}.polyphase", repeated),)

    return derived(source, ("polyphase", stride), make)[0]


def _rewrite(graph: ir.Graph, match: _Upsampling) -> None:
    node, stride, weight = match.node, match.stride, match.weight
    name = node.name or "conv_transpose"
    value = node.inputs[1]
    assert value is not None
    n_in, n_out = dims(weight)[:2]
    inputs: list[ir.Value | None] = [
        node.inputs[0],
        derived_weight(
            value,
            f"polyphase_{stride}",
            weight.dtype,
            (stride * n_out, n_in, 2),
            lambda: _polyphase(read(weight), stride),
        ),
    ]
    bias = match.bias
    if bias is not None:
        inputs.append(_repeated(node.inputs[2], bias, stride))
    shape_in = node.inputs[0].shape if node.inputs[0] is not None else None
    batch = None if shape_in is None else shape_in[0]

    def op(
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shape: Sequence[Dimension],
        **attributes: Sequence[int],
    ) -> ir.Value:
        label = f"{name}/{op_type.lower()}"
        return insert(node, op_type, inputs, attributes, name=label, shapes=[shape])[0]

    # Padded by 1: the first output row has no input m - 1, the last no input m.
    phases = op(
        "Conv", inputs, [batch, stride * n_out, None], kernel_shape=[2], pads=[1, 1], strides=[1]
    )
    rows = op("Transpose", [phases], [batch, None, stride * n_out], perm=_SWAP)
    target = add_constant(graph, f"{name}/rows", np.array([0, -1, n_out], np.int64))
    rows = op("Reshape", [rows, target], [batch, None, n_out])
    if match.crop_begin or match.crop_end:
        limits = (match.crop_begin, -match.crop_end if match.crop_end else _TO_THE_END, 1)
        bounds = [
            add_constant(graph, f"{name}/{label}", np.array([limit], np.int64))
            for label, limit in zip(("begin", "end", "axis"), limits, strict=True)
        ]
        rows = op("Slice", [rows, *bounds], [batch, None, n_out])
    (columns,) = insert(node, "Transpose", [rows], {"perm": _SWAP}, name=f"{name}/columns")
    substitute(node.outputs[0], columns)


RULE = Rule("conv_transpose", _candidates, _match, _rewrite)
