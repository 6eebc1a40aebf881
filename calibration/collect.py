"""Run a model over samples and find the range of any of its tensors, in bounded memory.

The first pass appends ReduceMin, ReduceMax and ReduceSum to the graph, so that a few scalars
per tensor leave the runtime. Observers that need histograms add a second pass, which fetches
the tensors themselves in groups of bounded size. Samples may differ in length, and every one
of them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from calibration.observers import CHOOSERS, OBSERVERS, ChannelRange, Histogram, MinMax, Range
from vampnet_models.artifact import load_model
from vampnet_models.errors import InputError
from vampnet_models.session import Feeds, Session, open_session

Progress = Callable[[int, int], None]
"""Called with (runs done, runs in all)."""

GROUP_BYTES = 192 * 1024 * 1024
"""The most bytes of intermediate tensors that the second pass fetches in one run."""

_FOLDER_KEY = "session.model_external_initializers_file_folder_path"
_PREFIX = "vampbench.calibration"


def collect_ranges(
    model_path: Path,
    feeds: Iterable[Feeds],
    tensors: Sequence[str],
    observer: str = "minmax",
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """The range of each named tensor over all feeds.

    `tensors` are graph inputs or intermediate values of the main graph, `observer` one of
    `OBSERVERS`. The model file is only read; external weights are not copied.

    Raises InputError: an unknown observer or tensor, no feeds, a feed that the model refuses,
    or a tensor that holds NaN or infinity.
    """
    if observer not in OBSERVERS:
        raise InputError(f"{observer}: no such observer; choose one of {', '.join(OBSERVERS)}")
    samples = _samples(model_path, feeds)
    histograms = observer in CHOOSERS
    report = _Report(progress, len(samples) * (2 if histograms else 1))
    extremes = _extremes(model_path, samples, dict.fromkeys(tensors), threads, report)
    ranges = {name: found.minmax.range() for name, found in extremes.items()}
    if not histograms:
        return ranges
    # A tensor that never changes has no histogram to choose from.
    varying = [name for name, seen in ranges.items() if seen.low < seen.high]
    groups = _groups({name: extremes[name].peak_elements * 4 for name in varying})
    report.total = len(samples) * (1 + len(groups))
    for group in groups:
        session = _open_side(model_path, group, threads, _fetch)
        counted = {name: Histogram(ranges[name]) for name in group}
        for number, sample in enumerate(samples):
            fetched = _run(session, model_path, sample, number)
            for i, name in enumerate(group):
                counted[name].update(fetched.pop(f"{_PREFIX}.{i}.value"))
            report.step()
        for name, histogram in counted.items():
            ranges[name] = CHOOSERS[observer](histogram)
    return ranges


def collect_channel_ranges(
    model_path: Path,
    feeds: Iterable[Feeds],
    channel_axes: Mapping[str, int | None],
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Range | ChannelRange]:
    """The least and largest value per channel; `channel_axes` says which axis that is.

    A tensor whose axis is None gets one range over all its values.

    Raises InputError as `collect_ranges` does, and for a tensor of unknown rank.
    """
    samples = _samples(model_path, feeds)
    report = _Report(progress, len(samples))
    extremes = _extremes(model_path, samples, dict(channel_axes), threads, report)
    return {
        name: found.minmax.range() if channel_axes[name] is None else found.minmax.channels()
        for name, found in extremes.items()
    }


def collect_moments(
    model_path: Path,
    feeds: Iterable[Feeds],
    widths: Mapping[str, int],
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """X^T X of each named tensor, `[width, width]`, X being its rows over all feeds.

    `widths` gives the last axis of each; the others count positions. One run fetches a group of
    tensors and only that group's moments are kept, so memory is bounded by `GROUP_BYTES`.

    Raises InputError as `collect_ranges` does.
    """
    samples = _samples(model_path, feeds)
    groups = _groups({name: width * width * 8 for name, width in widths.items()})
    report = _Report(progress, len(samples) * len(groups))
    for group in groups:
        session = _open_side(model_path, group, threads, _fetch)
        moments = {name: np.zeros((widths[name], widths[name])) for name in group}
        for number, sample in enumerate(samples):
            fetched = _run(session, model_path, sample, number)
            for i, name in enumerate(group):
                rows = fetched.pop(f"{_PREFIX}.{i}.value").reshape(-1, widths[name])
                if not np.isfinite(rows).all():
                    raise InputError(
                        f"{model_path}: tensor {name} holds NaN or infinity on calibration sample "
                        f"{number}; leave that sample out, or mend the model"
                    )
                moments[name] += rows.T @ rows
            report.step()
        del session
        for name in group:
            yield name, moments.pop(name)


@dataclass
class _Report:
    progress: Progress | None
    total: int
    done: int = 0

    def step(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass
class _Extremes:
    minmax: MinMax
    peak_elements: int = 0


def _extremes(
    model_path: Path,
    samples: Sequence[Feeds],
    axes: Mapping[str, int | None],
    threads: int,
    report: _Report,
) -> dict[str, _Extremes]:
    found = {name: _Extremes(MinMax()) for name in axes}
    if not found:
        return {}
    session = _open_side(model_path, list(axes), threads, lambda m, v, p: _reduce(m, v, p, axes))
    for number, sample in enumerate(samples):
        outputs = _run(session, model_path, sample, number)
        for i, (name, state) in enumerate(found.items()):
            low, high, total, size = (
                outputs[f"{_PREFIX}.{i}.{part}"] for part in ("min", "max", "sum", "size")
            )
            finite = bool(np.isfinite(low).all() and np.isfinite(high).all())
            # The reductions may skip a NaN, a sum cannot; but a sum may overflow by itself.
            if finite and not np.isfinite(total).all():
                finite = _is_finite(model_path, name, sample, number, threads)
            if not finite:
                raise InputError(
                    f"{model_path}: tensor {name} holds NaN or infinity on calibration sample "
                    f"{number}; leave that sample out, or mend the model"
                )
            state.minmax.update(low.astype(np.float32), high.astype(np.float32))
            state.peak_elements = max(state.peak_elements, int(size))
        report.step()
    return found


Extend = Callable[[ir.Model, ir.Value, str], list[ir.Node]]
"""(model, tensor, prefix of the new names) -> the nodes whose outputs are to be fetched."""


def _open_side(model_path: Path, tensors: Sequence[str], threads: int, extend: Extend) -> Session:
    """A session of the model with these outputs instead of its own.

    External weights stay in their file: the session gets the graph as bytes and is told the
    folder. What no tensor needs is not run.
    """
    model = load_model(model_path)
    ShapeInferencePass()(model)
    known = {v.name: v for v in model.graph.inputs}
    known |= {v.name: v for node in model.graph for v in node.outputs if v.name}
    missing = [name for name in tensors if name not in known]
    if missing:
        raise InputError(f"{model_path}: has no tensor {missing[0]}; give names of its main graph")
    model.graph.outputs.clear()
    first = next(iter(model.graph), None)
    for i, name in enumerate(tensors):
        nodes = extend(model, known[name], f"{_PREFIX}.{i}")
        model.graph.outputs.extend(node.outputs[0] for node in nodes)
        producer = known[name].producer()
        if producer is not None:
            model.graph.insert_after(producer, nodes)
        elif first is not None:
            model.graph.insert_before(first, nodes)
        else:
            model.graph.extend(nodes)
    graph = ir.to_proto(model).SerializeToString()
    folder = str(model_path.resolve().parent)
    # In the graph's order each reduction follows its tensor, which can then be freed; in the
    # runtime's own they all come last, and every observed tensor is held until then.
    return open_session(graph, threads=threads, config={_FOLDER_KEY: folder}, in_graph_order=True)


def _fetch(_model: ir.Model, value: ir.Value, prefix: str) -> list[ir.Node]:
    # Through an Identity, so that a graph input can be fetched like any other tensor.
    return [ir.node("Identity", [value], outputs=[ir.Value(name=f"{prefix}.value")])]


def _reduce(
    model: ir.Model, value: ir.Value, prefix: str, axes: Mapping[str, int | None]
) -> list[ir.Node]:
    axis = axes[value.name or ""]
    inputs: list[ir.Value | None] = [value]
    attributes: dict[str, int | list[int]] = {"keepdims": 0}
    if axis is not None:
        if value.shape is None:
            raise InputError(
                f"tensor {value.name}: unknown rank; run ONNX shape inference on the model first"
            )
        rank = len(value.shape)
        others = [a for a in range(rank) if a != axis % rank]
        if model.opset_imports[""] >= 18:
            tensor = ir.tensor(np.array(others, np.int64), name=f"{prefix}.axes")
            constant = ir.Value(name=tensor.name, const_value=tensor)
            model.graph.register_initializer(constant)
            inputs.append(constant)
        else:
            attributes["axes"] = others
    parts = [
        ir.node(op, inputs, attributes=attributes, outputs=[ir.Value(name=f"{prefix}.{part}")])
        for op, part in (("ReduceMin", "min"), ("ReduceMax", "max"))
    ]
    return [
        *parts,
        ir.node(
            "ReduceSum",
            [value],
            attributes={"keepdims": 0},
            outputs=[ir.Value(name=f"{prefix}.sum")],
        ),
        ir.node("Size", [value], outputs=[ir.Value(name=f"{prefix}.size")]),
    ]


def _run(session: Session, model_path: Path, sample: Feeds, number: int) -> Feeds:
    # What no tensor depends on is not an input of the side session any more.
    wanted = {name: sample[name] for name in session.input_names if name in sample}
    try:
        return session.run(wanted)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{model_path}: cannot run calibration sample {number}: {reason}"
        ) from error


def _is_finite(model_path: Path, tensor: str, sample: Feeds, number: int, threads: int) -> bool:
    session = _open_side(model_path, [tensor], threads, _fetch)
    values = _run(session, model_path, sample, number)[f"{_PREFIX}.0.value"]
    return bool(np.isfinite(values).all())


def _samples(model_path: Path, feeds: Iterable[Feeds]) -> Sequence[Feeds]:
    samples = feeds if isinstance(feeds, Sequence) else tuple(feeds)
    if not samples:
        raise InputError(f"{model_path}: no calibration samples; give at least one")
    return samples


def _groups(n_bytes: Mapping[str, int]) -> list[list[str]]:
    """Neighbours in the given order together, each group within GROUP_BYTES or a single tensor."""
    groups: list[list[str]] = []
    held = 0
    for name, size in n_bytes.items():
        if not groups or held + size > GROUP_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += size
    return groups
