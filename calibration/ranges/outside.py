"""How much of what a model now sees lies outside the ranges that it was calibrated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import ChannelRange, Range
from calibration.ranges.side_graph import Extend, constant, open_side, output_name, run, with_rank
from vampnet_models.onnxfile.session import Feeds

_LEAST_SHARE = 0.001
"""A tensor counts from this share on: the extremes of new audio always lie somewhere outside."""


@dataclass(frozen=True)
class Outside:
    """A tensor, and the share of its values that lie outside its range, that of their channel."""

    tensor: str
    share: float


def shares_outside(
    model_path: Path,
    feeds: Sequence[Feeds],
    ranges: Mapping[str, Range | ChannelRange],
    axes: Mapping[str, int | None],
    *,
    least_share: float = _LEAST_SHARE,
) -> tuple[Outside, ...]:
    """The tensors of which at least `least_share` lies outside, the worst first.

    Counted in the graph itself: two scalars per tensor leave the runtime. Raises InputError as
    `collect_channel_ranges` does.
    """
    if not ranges:
        return ()
    session = open_side(model_path, list(ranges), _beyond(ranges, axes))
    counted = np.zeros((len(ranges), 2))
    for number, feed in enumerate(feeds):
        outputs = run(session, model_path, feed, number)
        for i in range(len(ranges)):
            counted[i] += [float(outputs[output_name(i, part)]) for part in ("outside", "size")]
    shares = counted[:, 0] / np.maximum(counted[:, 1], 1)
    found = [Outside(name, float(s)) for name, s in zip(ranges, shares, strict=True)]
    return tuple(sorted((o for o in found if o.share >= least_share), key=lambda o: -o.share))


def _beyond(ranges: Mapping[str, Range | ChannelRange], axes: Mapping[str, int | None]) -> Extend:
    def extend(model: ir.Model, value: ir.Value, prefix: str) -> list[ir.Node]:
        name = value.name or ""
        seen, axis = ranges[name], axes[name]
        before, value, rank = with_rank(model, value, axis, prefix)
        ends = []
        for part, end in (("low", seen.low), ("high", seen.high)):
            array = np.asarray(end, value.dtype.numpy() if value.dtype else np.float32)
            if axis is not None:
                shape = [1] * rank
                shape[axis] = -1
                array = array.reshape(shape)
            ends.append(constant(model, f"{prefix}.{part}", array))
        below = ir.node("Less", [value, ends[0]])
        above = ir.node("Greater", [value, ends[1]])
        either = ir.node("Or", [below.outputs[0], above.outputs[0]])
        number = ir.node("Cast", either.outputs, attributes={"to": ir.DataType.FLOAT.value})
        for part, node in zip(("l", "g", "o", "n"), (below, above, either, number), strict=True):
            node.outputs[0].name = f"{prefix}.{part}"
        total = ir.Value(name=f"{prefix}.outside")
        return [
            *before,
            below,
            above,
            either,
            number,
            ir.node("ReduceSum", number.outputs, attributes={"keepdims": 0}, outputs=[total]),
            ir.node("Size", [value], outputs=[ir.Value(name=f"{prefix}.size")]),
        ]

    return extend
