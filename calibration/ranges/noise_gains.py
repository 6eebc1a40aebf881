"""How much of the noise in a tensor arrives at a model's outputs: its noise gain.

White noise of a known power is added to some tensors at once, and the outputs are compared with
those without. Small errors of independent sources add up in power, so that a gain, times the share
of its power that a tensor loses to rounding, is what the outputs lose. One session serves all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from calibration.ranges.side_graph import constant, open_graph, run
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Progress

_NOISE_SHARE = 1e-3
"""Power of the noise over that of the tensor, about that of 4-bit weights."""

_MOST_FEEDS = 4
"""A gain is a mean over all positions: a few feeds tell it."""

_PREFIX = "vampbench.noise"


def collect_noise_gains(
    model_path: Path,
    feeds: Sequence[Feeds],
    groups: Mapping[str, Sequence[str]],
    *,
    progress: Progress | None = None,
) -> dict[str, float]:
    """The gain of a tensor of each group of them, as a mean over the group.

    That is the power of what noise changes in the outputs over that of the outputs themselves, per
    share of the tensor's power that the noise has; the mean over the float outputs, and over a few
    feeds. Of a model without float outputs, changed values count.

    Raises InputError for an unknown tensor, without feeds, or where a feed does not run.
    """
    if not feeds:
        raise InputError(f"{model_path}: no calibration samples; give at least one")
    session = open_graph(_noisy(model_path, groups), model_path)
    taken = list(feeds)[:: max(1, len(feeds) // _MOST_FEEDS)][:_MOST_FEEDS]
    found = dict.fromkeys(groups, 0.0)
    for number, feed in enumerate(taken):
        silent = np.zeros(len(groups), np.float32)
        clean = run(session, model_path, {**feed, _PREFIX: silent}, number)
        for index, (name, tensors) in enumerate(groups.items()):
            loud = silent.copy()
            loud[index] = np.sqrt(_NOISE_SHARE)
            noisy = run(session, model_path, {**feed, _PREFIX: loud}, number)
            found[name] += _change(clean, noisy) / (_NOISE_SHARE * len(tensors) * len(taken))
            if progress is not None:
                progress(number * len(groups) + index + 1, len(taken) * len(groups))
    return found


def _noisy(model_path: Path, groups: Mapping[str, Sequence[str]]) -> ir.Model:
    """The model with an input more: the amplitude of the noise of each group, 0 for none."""
    model = load_model(model_path)
    graph = model.graph
    known = {value.name: value for node in graph for value in node.outputs if value.name}
    missing = [name for names in groups.values() for name in names if name not in known]
    if missing:
        raise InputError(f"{model_path}: has no tensor {missing[0]}; give names of its main graph")
    amplitudes = ir.Value(
        name=_PREFIX, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([len(groups)])
    )
    graph.inputs.append(amplitudes)
    for index, names in enumerate(groups.values()):
        place = constant(model, f"{_PREFIX}.group{index}", np.array(index, np.int64))
        for name in names:
            _add_noise(graph, known[name], amplitudes, place)
    return model


def _add_noise(graph: ir.Graph, value: ir.Value, amplitudes: ir.Value, place: ir.Value) -> None:
    """`value` -> `value + amplitude * rms(value) * noise`, for all that read it."""
    readers, producer = tuple(value.uses()), value.producer()
    assert producer is not None
    seed = float(len(graph))
    noise = ir.node("RandomNormalLike", [value], attributes={"dtype": 1, "seed": seed})
    square = ir.node("Mul", [value, value])
    power = ir.node("ReduceMean", square.outputs, attributes={"keepdims": 0})
    rms = ir.node("Sqrt", power.outputs)
    amplitude = ir.node("Gather", [amplitudes, place])
    factor = ir.node("Mul", [rms.outputs[0], amplitude.outputs[0]])
    scaled = ir.node("Mul", [noise.outputs[0], factor.outputs[0]])
    total = ir.node("Add", [value, scaled.outputs[0]])
    nodes = [noise, square, power, rms, amplitude, factor, scaled, total]
    for number, node in enumerate(nodes):
        node.outputs[0].name = f"{place.name}.{value.name}.{number}"
    graph.insert_after(producer, nodes)
    for node, index in readers:
        node.replace_input_with(index, total.outputs[0])
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = total.outputs[0]


def _change(clean: Feeds, noisy: Feeds) -> float:
    """Relative squared difference of float outputs, or the share of other values."""
    floats = [name for name, values in clean.items() if np.issubdtype(values.dtype, np.floating)]
    if not floats:
        return float(np.mean([(noisy[name] != values).mean() for name, values in clean.items()]))
    shares = []
    for name in floats:
        own = clean[name].astype(np.float64)
        power = float(np.square(own).sum())
        changed = float(np.square(noisy[name] - own).sum())
        shares.append(changed / power if power else 0.0)
    return float(np.mean(shares))
