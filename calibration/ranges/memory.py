"""How much memory a calibration will take, told before it starts."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from calibration.ranges.observers import CHOOSERS
from calibration.ranges.side_graph import extremes_of, side_model
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import weights_bytes
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.shapes.tensor_shapes import Shapes, infer_shapes

_SESSION_BYTES = 96 * 1024 * 1024
"""What a session takes beside weights and tensors: the graph twice, threads, and the kernels'
scratch space."""


@dataclass(frozen=True)
class Prediction:
    """The parts of the peak resident memory, in bytes.

    `process` is what the process holds already, `weights` the model's, `tensors` the most that
    live at once in the first pass on the longest feed; the second pass, if there is one, holds
    `largest`, its largest tensor, beside `group`, what it fetches at once; `later` is held by a
    pass after both.
    """

    process_bytes: int
    weights_bytes: int
    tensors_bytes: int
    largest_bytes: int
    group_bytes: int
    later_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        """All of them together."""
        return self.floor_bytes + max(self.group_bytes, self.later_bytes)

    @property
    def floor_bytes(self) -> int:
        """What no smaller group saves."""
        return (
            self.process_bytes
            + self.weights_bytes
            + _SESSION_BYTES
            + self.tensors_bytes
            + self.largest_bytes
        )

    def describe(self) -> str:
        """The peak and its parts, each rounded to a megabyte; together they are the peak."""
        parts = {
            "this process": self.process_bytes,
            "a session": _SESSION_BYTES,
            "weights": self.weights_bytes,
            "tensors": self.tensors_bytes + self.largest_bytes,
            "values fetched at once": max(self.group_bytes, self.later_bytes),
        }
        rounded = {name: round(n / 1e6) for name, n in parts.items()}
        listed = ", ".join(f"{name} {n:,} MB" for name, n in rounded.items() if n)
        return f"{sum(rounded.values()):,} MB: {listed}"


def predict(
    model_path: Path,
    longest: Feeds,
    axes: Mapping[str, int | None],
    observer: str,
    group_bytes: int,
    later_bytes: int = 0,
) -> Prediction:
    """The peak of a calibration whose largest feed is `longest`.

    `later_bytes` is what a pass after it holds at once. Shapes are inferred, nothing is run;
    tensors of unknown shape count as nothing. Raises InputError as `collect_ranges` does.
    """
    model = side_model(model_path, list(axes), extremes_of(axes))
    shapes = _shapes(model, longest)
    weights = weights_bytes(model)
    tensors = _live_bytes(model, shapes)
    largest = 0
    if observer in CHOOSERS:
        sizes = [shapes.tensors[name].bytes for name in axes if name in shapes.tensors]
        largest = max(sizes, default=0)
    histograms = observer in CHOOSERS
    return Prediction(
        process_bytes=resident_bytes(),
        weights_bytes=weights,
        tensors_bytes=tensors,
        largest_bytes=largest,
        group_bytes=max(group_bytes, largest) if histograms else 0,
        later_bytes=later_bytes,
    )


def _live_bytes(model: ir.Model, shapes: Shapes) -> int:
    """The most bytes of tensors that live at once when nodes run in the graph's order.

    Outputs live to the end. Initializers do not count.
    """
    nodes = list(model.graph)
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for value in node.inputs:
            if value is not None and value.name:
                last[value.name] = index
    for value in model.graph.outputs:
        last[value.name or ""] = len(nodes)
    inputs = [v.name for v in model.graph.inputs if v.name in last]
    live = {each: _bytes(shapes, each) for each in inputs if each is not None}
    peak = held = sum(live.values())
    for index, node in enumerate(nodes):
        for value in node.outputs:
            if value.name in last:
                live[value.name] = _bytes(shapes, value.name)
                held += live[value.name]
        peak = max(peak, held)
        for name in {v.name for v in node.inputs if v is not None and v.name}:
            if last[name] == index:
                held -= live.pop(name, 0)
    return peak


def resident_bytes() -> int:
    """The resident memory of this process: now where the system tells it, else at its peak."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bytes(shapes: Shapes, name: str) -> int:
    return shapes.tensors[name].bytes if name in shapes.tensors else 0


def _shapes(model: ir.Model, feed: Feeds) -> Shapes:
    return infer_shapes(model, {name: array.shape for name, array in feed.items()})


def group_within(prediction: Prediction, max_memory_bytes: int | None, wanted_bytes: int) -> int:
    """How much the second pass may fetch at once.

    Raises InputError that names the prediction where not even one tensor at a time fits.
    """
    if max_memory_bytes is None:
        return wanted_bytes
    least = prediction.floor_bytes + max(prediction.largest_bytes, prediction.later_bytes)
    if least > max_memory_bytes:
        raise InputError(
            f"calibration would take {_megabytes(least)} of memory at the least, and "
            f"{_megabytes(max_memory_bytes)} are allowed (without a bound "
            f"{prediction.describe()}); allow more with --max-memory, or "
            "calibrate on shorter audio"
        )
    return min(wanted_bytes, max_memory_bytes - prediction.floor_bytes)


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"
