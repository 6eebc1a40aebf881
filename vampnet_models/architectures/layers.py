"""The layers that the codec is made of, from checkpoint tensors to graph nodes."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from vampnet_models.architectures.graph_writer import Array, GraphBuilder
from vampnet_models.checkpoints.tensors import Ledger, require_shape

_SNAKE_EPSILON = 1e-9


def conv(
    b: GraphBuilder,
    x: ir.Value,
    tensors: Ledger,
    prefix: str,
    shape: tuple[int, int, int],
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: int = 0,
) -> ir.Value:
    """Conv1d with a (weight-normalised) weight `[out, in, kernel]` and its bias."""
    weight = _conv_weight(b, tensors, prefix, shape)
    inputs = [x, weight]
    bias = f"{prefix}.bias"
    if bias in tensors.names() and bias not in tensors.left():
        inputs.append(plain(b, tensors, bias, (shape[0],)))
    attributes = conv_attributes(shape[2], stride, dilation, padding)
    return b.op("Conv", *inputs, name=f"{prefix}/Conv", attributes=attributes)


def conv_transpose(
    b: GraphBuilder,
    x: ir.Value,
    tensors: Ledger,
    prefix: str,
    shape: tuple[int, int, int],
    *,
    stride: int,
    padding: int,
) -> ir.Value:
    """ConvTranspose1d with a (weight-normalised) weight `[in, out, kernel]` and its bias."""
    weight = _conv_weight(b, tensors, prefix, shape)
    bias = plain(b, tensors, f"{prefix}.bias", (shape[1],))
    attributes = conv_attributes(shape[2], stride, 1, padding)
    return b.op(
        "ConvTranspose", x, weight, bias, name=f"{prefix}/ConvTranspose", attributes=attributes
    )


def conv_attributes(
    kernel: int, stride: int, dilation: int, padding: int
) -> dict[str, list[int] | int]:
    """The attributes of a convolution over time, padded alike on both sides."""
    return {
        "kernel_shape": [kernel],
        "strides": [stride],
        "dilations": [dilation],
        "pads": [padding, padding],
        "group": 1,
    }


def _conv_weight(b: GraphBuilder, tensors: Ledger, prefix: str, shape: tuple[int, ...]) -> ir.Value:
    """The weight of a convolution: stored plainly, or `g * v / ||v||` folded into one tensor.

    The norm is over all axes but the first (torch.nn.utils.weight_norm, dim 0); both the old
    names (`weight_g`, `weight_v`) and the parametrization's (`original0`, `original1`) are read.
    """
    target = f"{prefix}.weight"
    if target in tensors.names():
        return plain(b, tensors, target, shape)
    gain, direction = weight_norm_names(tensors, prefix)
    require_shape(tensors, direction, shape)
    require_shape(tensors, gain, (shape[0], *(1 for _ in shape[1:])))
    tensors.fold(gain, target)
    tensors.fold(direction, target)
    return b.weight(target, shape, lambda: normalised_weight(tensors, gain, direction))


def weight_norm_names(tensors: Ledger, prefix: str) -> tuple[str, str]:
    """The names of g and v; the old names when neither form is there, so that they are missed."""
    parametrized = f"{prefix}.parametrizations.weight"
    if f"{parametrized}.original1" in tensors.names():
        return f"{parametrized}.original0", f"{parametrized}.original1"
    return f"{prefix}.weight_g", f"{prefix}.weight_v"


def normalised_weight(tensors: Ledger, gain: str, direction: str) -> Array:
    """`g * v / ||v||` with the norm over all axes but the first."""
    v = tensors.read(direction)
    norm = np.sqrt(np.sum(np.square(v), axis=tuple(range(1, v.ndim)), keepdims=True))
    scaled: Array = v * (tensors.read(gain) / norm)
    return scaled


def plain(b: GraphBuilder, tensors: Ledger, name: str, shape: tuple[int, ...]) -> ir.Value:
    """A tensor of the checkpoint as an initializer, as it is."""
    require_shape(tensors, name, shape)
    tensors.use(name, name)
    return b.weight(name, shape, lambda: tensors.read(name))


def snake(b: GraphBuilder, x: ir.Value, tensors: Ledger, name: str, channels: int) -> ir.Value:
    """Snake activation `x + sin(alpha x)^2 / (alpha + 1e-9)` (Ziyin et al. 2020), per channel."""
    alpha_name = f"{name}.alpha"
    alpha = plain(b, tensors, alpha_name, (1, channels, 1))
    target = f"{name}.inverse_alpha"
    tensors.use(alpha_name, target)

    def read() -> Array:
        inverse: Array = np.float32(1) / (tensors.read(alpha_name) + np.float32(_SNAKE_EPSILON))
        return inverse

    inverse = b.weight(target, (1, channels, 1), read)
    with b.scope(name):
        sine = b.op("Sin", b.op("Mul", alpha, x))
        return b.op("Add", x, b.op("Mul", inverse, b.op("Mul", sine, sine)))


def residual_unit(
    b: GraphBuilder, x: ir.Value, tensors: Ledger, prefix: str, channels: int, dilation: int
) -> ir.Value:
    """Snake, dilated Conv k7, Snake, Conv k1, added to the input (`.block.0` to `.block.3`)."""
    y = snake(b, x, tensors, f"{prefix}.block.0", channels)
    y = conv(
        b,
        y,
        tensors,
        f"{prefix}.block.1",
        (channels, channels, 7),
        dilation=dilation,
        padding=3 * dilation,
    )
    y = snake(b, y, tensors, f"{prefix}.block.2", channels)
    y = conv(b, y, tensors, f"{prefix}.block.3", (channels, channels, 1))
    return b.op("Add", x, y, name=f"{prefix}/Add")


def right_pad(b: GraphBuilder, x: ir.Value, multiple: int) -> ir.Value:
    """Pad the last axis of `[batch, 1, samples]` with zeros to a multiple."""
    with b.scope("right_pad"):
        length = b.op("Shape", x, attributes={"start": 2, "end": 3})
        missing = b.op("Mod", b.op("Neg", length), b.ints(multiple))
        pads = b.op("Concat", b.ints(0, 0, 0, 0, 0), missing, attributes={"axis": 0})
        return b.op("Pad", x, pads, b.scalar(0.0))


def hop_samples(rates: tuple[int, ...]) -> int:
    """Samples per frame of a stack of these strides."""
    return math.prod(rates)
