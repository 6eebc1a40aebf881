"""SmoothQuant: move the spread of an activation's channels into the weights, exactly.

Xiao, Lin, Seznec, Wu, Demouth and Han, "SmoothQuant: Accurate and Efficient Post-Training
Quantization for Large Language Models" (2022). A channel that is divided by `s` before a product
and whose weight row is multiplied by `s` changes nothing in real numbers; but one scale then fits
all channels. The division is folded into what makes the channel: the weight of the RMSNorm before,
or the columns of the product before it (through the values of an attention, or the linear half of a
gated unit). Each site gets the `alpha` that leaves the least expected error of the product.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.ranges.observers import ChannelRange
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_weight,
    consumed_by,
    dims,
    graph_of,
    int_of,
    produced_by,
    read,
    weight_of,
)
from optimize.surgery.stand_ins import stored_turned

CHANNEL_AXIS = -1
_ALPHAS = tuple(float(a) for a in np.linspace(0.0, 1.0, 21))
"""0 leaves the activation as it is, 1 gives all its channels the same extremes."""

_LEVELS = 255
"""Steps between the ends of an 8-bit range."""

_TAIL = 4.0
"""Extremes over root mean square of a normal-like channel; only their ratio to rounding counts."""

_ROW_SHARE = 0.1
"""Power of the largest value of a typical row over that of all rows, where rows have scales."""

_R = TypeVar("_R")


@dataclass(frozen=True)
class Site:
    """An activation `[..., channels]`, the MatMuls that read it, and what makes it.

    Without `columns` the maker is a normalization, whose weight is divided; with them a MatMul,
    whose columns `[start, stop)` are.
    """

    value: ir.Value
    readers: tuple[ir.Node, ...]
    maker: ir.Node
    columns: tuple[int, int] | None = None


def sites(graph: ir.Graph) -> dict[str, Site]:
    """The activations that can be smoothed exactly, by name."""
    found: dict[str, Site] = {}
    for node in graph:
        x = node.inputs[0] if node.op_type == "MatMul" else None
        if x is None or not x.name or x.name in found or x.is_graph_output():
            continue
        readers = tuple(x.consumers())
        if any(r.op_type != "MatMul" or weight_of(r) is None for r in readers):
            continue
        try:
            maker, columns = _maker(x)
        except NoMatch:
            continue
        changed = readers if columns is None else (*readers, maker)
        if any(_is_read_elsewhere(each, changed) for each in changed):
            continue
        found[x.name] = Site(x, readers, maker, columns)
    return found


def _is_read_elsewhere(product: ir.Node, changed: Collection[ir.Node]) -> bool:
    """Whether the weight has other readers, who would need a copy of it as it is."""
    weight = product.inputs[1]
    if weight is None or stored_turned(weight) is not None:
        return True
    return any(reader not in changed for reader in weight.consumers())


def _maker(x: ir.Value) -> tuple[ir.Node, tuple[int, int] | None]:
    node = produced_by(x, "SimplifiedLayerNormalization", "MultiHeadAttention", "Mul")
    if node.op_type == "SimplifiedLayerNormalization":
        if weight_of(node) is None:
            raise NoMatch(f"{node.name}: its weight is no constant")
        return node, None
    if node.op_type == "MultiHeadAttention":
        values = node.inputs[2]
        if len(node.inputs) > 3 and node.inputs[3] is not None:
            raise NoMatch(f"{node.name}: adds a bias to its values")
        return _columns(values, "MultiHeadAttention")
    for value, other in (node.inputs, node.inputs[::-1]):
        producer = other.producer() if other is not None else None
        if producer is not None and producer.op_type == "Gelu":
            return _columns(value, "Mul")
    raise NoMatch(f"{node.name}: is no gated unit")


def _columns(value: ir.Value | None, reader: str) -> tuple[ir.Node, tuple[int, int]]:
    """The MatMul whose columns are `value`, itself or one part of its split along channels."""
    node = produced_by(value, "MatMul", "Split")
    assert value is not None
    consumed_by(value, reader)
    if node.op_type == "MatMul":
        tensor = weight_of(node)
        if tensor is None or len(tensor.shape) != 2:
            raise NoMatch(f"{node.name}: its weight is no constant matrix")
        return node, (0, dims(tensor)[1])
    if int_of(node, "axis", 0) not in (-1, 2):
        raise NoMatch(f"{node.name}: does not split channels")
    product, _ = _columns(node.inputs[0], "Split")
    widths = [out.shape[-1] if out.shape is not None else None for out in node.outputs]
    sizes = [width for width in widths if isinstance(width, int)]
    if len(sizes) != len(widths):
        raise NoMatch(f"{node.name}: its parts have no known width")
    at = list(node.outputs).index(value)
    return product, (sum(sizes[:at]), sum(sizes[: at + 1]))


def smooth(
    graph: ir.Graph, ranges: Mapping[str, _R | ChannelRange]
) -> dict[str, _R | ChannelRange]:
    """Smooth a graph in place wherever channel ranges are at hand; returns the ranges after it."""
    after = dict(ranges)
    for name, site in sites(graph).items():
        seen = ranges.get(name)
        if not isinstance(seen, ChannelRange) or not np.isfinite([seen.low, seen.high]).all():
            continue
        weights = [read(tensor) for r in site.readers if (tensor := weight_of(r)) is not None]
        joined = np.concatenate(weights, axis=1)
        if not np.isfinite([joined.min(), joined.max()]).all():
            continue
        # What no normalization makes has a scale per row.
        share = 1.0 if site.columns is None else _ROW_SHARE
        s = best_scales(seen, joined, share)
        if s is None:
            continue
        for reader in site.readers:
            _scale_weight(reader, s[:, None])
        if site.columns is None:
            _scale_weight(site.maker, 1 / s)
        else:
            tensor = weight_of(site.maker)
            assert tensor is not None
            factor = np.ones((1, dims(tensor)[1]), np.float32)
            factor[0, site.columns[0] : site.columns[1]] = 1 / s
            _scale_weight(site.maker, factor)
        mean = None if seen.mean is None else seen.mean / s
        after[name] = ChannelRange(seen.low / s, seen.high / s, mean, seen.count)
    return after


def best_scales(
    seen: ChannelRange, weight: Array, share: float = 1.0
) -> NDArray[np.float32] | None:
    """The float32 divisors `[channels]` of the best alpha; None where 0 is the best.

    `weight` is `[channels, outputs]`; `share` of the power of the input's rounding counts. Powers
    of two would fold exactly, but are too coarse where channels differ by less than a factor of
    two: float32's own rounding is 16 bits below that of the integers.
    """
    peak = np.maximum(np.abs(seen.low), np.abs(seen.high)).astype(np.float64)
    rows = np.abs(weight).max(axis=1).astype(np.float64)
    usable = (peak > 0) & (rows > 0)
    if not usable.any():
        return None
    weight = np.abs(weight)
    power = np.einsum("co,co->c", weight, weight, dtype=np.float64)
    best: NDArray[np.float32] | None = None
    least = np.inf
    for alpha in _ALPHAS:
        s = np.ones_like(peak)
        s[usable] = peak[usable] ** alpha / rows[usable] ** (1 - alpha) if alpha else 1.0
        # Only their ratios matter: with a geometric mean of one the weights keep their size.
        s /= np.exp(np.log(s[usable]).mean())
        error = _expected_error(seen, weight, power, peak, s, share)
        if error < least:
            best, least = (s.astype(np.float32) if alpha else None), error
    return best


def _expected_error(
    seen: ChannelRange, weight: Array, power: Array, peak: Array, s: Array, share: float
) -> float:
    """Squared error of the product: rounding of the input, and of the weights per output.

    `weight` holds absolute values, `power` the sums of their squares per row.
    """
    span = max(float((seen.high / s).max()), 0.0) - min(float((seen.low / s).min()), 0.0)
    # Rounding to steps is off by a twelfth of the step squared, in the mean.
    of_input = share * (span / _LEVELS) ** 2 / 12 * float((power * s**2).sum())
    steps = 2 * (weight * s[:, None].astype(np.float32)).max(axis=0) / _LEVELS
    of_weight = float((steps**2).sum()) / 12 * float(((peak / _TAIL / s) ** 2).sum())
    return of_input + of_weight


def _scale_weight(node: ir.Node, factor: Array) -> None:
    """Replace the weight by its product with `factor`, computed again whenever it is read."""
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    compute = partial(_product, tensor, factor.astype(np.float32))
    new = add_weight(
        graph_of(node), f"{value.name}.smooth", ir.DataType.FLOAT, dims(tensor), compute
    )
    node.replace_input_with(1, new)


def _product(tensor: ir.TensorProtocol, factor: Array) -> Array:
    product: Array = read(tensor) * factor
    return product
