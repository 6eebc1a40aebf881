"""GPTQ for static INT8: one scale per output as before, integers that make up for their errors.

Products that read the same activation share its second moments and are rounded together; a weight
that several activations meet is rounded once, by the sum of their moments. The integers wait on
disk until the variant is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.ranges.observers import ChannelRange
from optimize.precision.contract import MomentsOf, RangeLike
from optimize.precision.shared.gptq import SharedMoments, error_compensated, factor_of
from optimize.precision.shared.quantize import per_channel_scales
from optimize.precision.shared.shelf import Integers, Shelf, Shelved
from optimize.surgery.graph import dims, read, weight_of

_ZERO = 128
"""Where int8 begins among the integers of `error_compensated`."""


def widths_of(nodes: Collection[ir.Node]) -> dict[str, int]:
    """The activations whose moments `rounded` asks for, with their numbers of channels.

    A weight of more rows than columns is left to rounding to nearest: on the small transformers a
    gated unit's product gains 0.5 dB where others gain 2 to 10, and its moments would be most of
    the memory and time.
    """
    found = {}
    for node in nodes:
        if _is_worth_it(node):
            tensor = weight_of(node)
            assert tensor is not None
            found[_name(node)] = dims(tensor)[0]
    return found


def _is_worth_it(node: ir.Node) -> bool:
    tensor = weight_of(node) if node.op_type == "MatMul" else None
    return tensor is not None and dims(tensor)[0] <= dims(tensor)[1]


def _name(node: ir.Node) -> str:
    x = node.inputs[0]
    return (x.name or "") if x is not None else ""


def rounded(
    nodes: Collection[ir.Node],
    before: Mapping[str, RangeLike],
    after: Mapping[str, RangeLike],
    moments_of: MomentsOf,
    scratch: Path | None = None,
) -> dict[ir.Node, Shelved]:
    """The int8 weight `[rows, columns]` of each MatMul that is worth it, in a file in `scratch`.

    Moments are those of the activations before smoothing, which divided channels as the ranges
    `before` and `after` say.
    """
    widths = widths_of(nodes)
    readers: dict[str, list[ir.Node]] = defaultdict(list)
    for node in nodes:
        if _is_worth_it(node):
            readers[_name(node)].append(node)
    shared = SharedMoments(readers)
    found: dict[ir.Node, Shelved] = {}
    shelf = Shelf(scratch)
    for name, moments in moments_of(widths) if widths else ():
        divisors = _divisors(before.get(name), after.get(name))
        scaled = moments / divisors / divisors[:, None]
        for group, known in shared.complete(name, scaled):
            kept = {value: shelf.put(each) for value, each in _together(group, known).items()}
            found.update((node, kept[node.inputs[1]]) for node in group)
    return found


def _divisors(before: RangeLike | None, after: RangeLike | None) -> NDArray[np.float64]:
    """By what smoothing divided each channel; 1 where it did nothing, or nothing is known.

    Ranges that it left may be those of a convolution's channels, which are not the product's.
    """
    if before is after:
        return np.ones(1)
    if not isinstance(before, ChannelRange) or not isinstance(after, ChannelRange):
        return np.ones(1)
    was, became = (np.maximum(np.abs(r.low), np.abs(r.high)) for r in (before, after))
    known = (was > 0) & (became > 0)
    return np.divide(was, became, out=np.ones(len(was)), where=known)


def _together(
    nodes: list[ir.Node], moments: NDArray[np.float64]
) -> dict[ir.Value | None, Integers]:
    """The integers of these products by their weights."""
    tensors = {node.inputs[1]: tensor for node in nodes if (tensor := weight_of(node)) is not None}
    weights = [read(tensor) for tensor in tensors.values()]
    weight = np.concatenate(weights, axis=1)
    scales = per_channel_scales(weight, 1)
    zeros = np.full((1, len(scales)), _ZERO, np.uint8)
    chosen = error_compensated(weight, factor_of(moments), scales[None], zeros, len(weight), 8)
    chosen /= scales
    integers = np.rint(chosen, out=chosen).astype(np.int8)
    cuts = np.cumsum([each.shape[1] for each in weights])[:-1]
    return dict(zip(tensors, np.split(integers, cuts, axis=1), strict=True))
