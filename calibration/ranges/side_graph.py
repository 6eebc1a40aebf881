"""A model's graph with other outputs: what a calibration wants to see of it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import ShapeInferencePass

from vampnet_models.errors import InputError, reason_of
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Array, Feeds, Session, open_session

Extend = Callable[[ir.Model, ir.Value, str], list[ir.Node]]
"""(model, tensor, prefix of the new names) -> the nodes whose outputs are to be fetched."""

_FOLDER_KEY = "session.model_external_initializers_file_folder_path"
_PREFIX = "vampbench.calibration"


def output_name(index: int, part: str) -> str:
    """The output that `part` of the tensor at this place of the list has."""
    return f"{_PREFIX}.{index}.{part}"


def side_model(model_path: Path, tensors: Sequence[str], extend: Extend) -> ir.Model:
    """The model with these outputs instead of its own. Raises InputError for an unknown tensor."""
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
        model.graph.outputs.extend(node.outputs[0] for node in nodes if _is_output(node))
        producer = known[name].producer()
        if producer is not None:
            model.graph.insert_after(producer, nodes)
        elif first is not None:
            model.graph.insert_before(first, nodes)
        else:
            model.graph.extend(nodes)
    return model


def _is_output(node: ir.Node) -> bool:
    """Whether nothing in the added nodes reads it."""
    return not any(True for _ in node.outputs[0].uses())


def open_side(model_path: Path, tensors: Sequence[str], extend: Extend) -> Session:
    """A session of `side_model`.

    External weights stay in their file: the session gets the graph as bytes and is told the
    folder. What no tensor needs is not run.
    """
    return open_graph(side_model(model_path, tensors, extend), model_path)


def open_graph(model: ir.Model, model_path: Path) -> Session:
    """A session of what was made of the model in that file, in memory."""
    graph = ir.to_proto(model).SerializeToString()
    folder = str(model_path.resolve().parent)
    # In the graph's order each reduction follows its tensor, which can then be freed; in the
    # runtime's own they all come last, and every observed tensor is held until then.
    return open_session(graph, config={_FOLDER_KEY: folder}, in_graph_order=True)


def fetch(_model: ir.Model, value: ir.Value, prefix: str) -> list[ir.Node]:
    """The tensor itself, as `value`."""
    # Through an Identity, so that a graph input can be fetched like any other tensor.
    return [ir.node("Identity", [value], outputs=[ir.Value(name=f"{prefix}.value")])]


def extremes_of(axes: Mapping[str, int | None]) -> Extend:
    """`min`, `max` and `sum` per channel of the given axis or over all, and `size` of all."""

    def extend(model: ir.Model, value: ir.Value, prefix: str) -> list[ir.Node]:
        axis = axes[value.name or ""]
        before, value, rank = with_rank(model, value, axis, prefix)
        inputs: list[ir.Value | None] = [value]
        attributes: dict[str, int | list[int]] = {"keepdims": 0}
        if axis is not None:
            others = [a for a in range(rank) if a != axis % rank]
            if model.opset_imports[""] >= 18:
                inputs.append(constant(model, f"{prefix}.axes", np.array(others, np.int64)))
            else:
                attributes["axes"] = others
        parts = [
            ir.node(op, inputs, attributes=attributes, outputs=[ir.Value(name=f"{prefix}.{part}")])
            for op, part in (("ReduceMin", "min"), ("ReduceMax", "max"))
        ]
        # ReduceSum takes its axes as an input since opset 13, the others since 18.
        if axis is not None and len(inputs) == 1 and model.opset_imports[""] >= 13:
            inputs.append(constant(model, f"{prefix}.axes", np.array(others, np.int64)))
            attributes = {"keepdims": 0}
        total = ir.Value(name=f"{prefix}.sum")
        return [
            *before,
            *parts,
            ir.node("ReduceSum", inputs, attributes=attributes, outputs=[total]),
            ir.node("Size", [value], outputs=[ir.Value(name=f"{prefix}.size")]),
        ]

    return extend


def with_rank(
    model: ir.Model, value: ir.Value, axis: int | None, prefix: str
) -> tuple[list[ir.Node], ir.Value, int]:
    """A value whose `axis` (1 or the last) is at that place of a known number of axes, and that.

    It is the value itself where shape inference found its rank, or where no axis is asked for.
    Otherwise the nodes that are given too bring the axes behind, or before, the wanted one
    together.
    """
    if value.shape is not None or axis is None:
        return [], value, 0 if value.shape is None else len(value.shape)
    known = ir.Value(name=f"{prefix}.ranked", type=value.type)
    if axis == -1:
        return [ir.node("Flatten", [value], attributes={"axis": -1}, outputs=[known])], known, 2
    if axis != 1:
        raise ValueError(f"{value.name}: unknown rank, and its axis {axis} is not 1 or the last")
    target = constant(model, f"{prefix}.target", np.array([0, 0, -1], np.int64))
    return [ir.node("Reshape", [value, target], outputs=[known])], known, 3


def constant(model: ir.Model, name: str, array: Array) -> ir.Value:
    """A new initializer."""
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    model.graph.register_initializer(value)
    return value


def run(session: Session, model_path: Path, sample: Feeds, number: int) -> Feeds:
    """All outputs for one sample. Raises InputError that names the sample."""
    return dict(stream(session, model_path, sample, number))


def stream(
    session: Session, model_path: Path, sample: Feeds, number: int
) -> Iterator[tuple[str, Array]]:
    """The outputs for one sample, one after the other: each is let go before the next is copied.

    Raises InputError that names the sample.
    """
    # What no tensor depends on is not an input of the side session any more.
    wanted = {
        # In C order; numpy's function of that name would make a vector of a scalar.
        name: np.asarray(sample[name], order="C")
        for name in session.input_names
        if name in sample
    }
    names = list(session.output_names)
    has_text = any(array.dtype.kind in "OSU" for array in wanted.values())
    values: list[Any]
    try:
        if has_text:  # The runtime's own values hold numbers only.
            values = session.raw.run(names, wanted)
        else:
            held = {name: ort.OrtValue.ortvalue_from_numpy(v) for name, v in wanted.items()}
            values = session.raw.run_with_ort_values(names, held)
    except Exception as error:
        # The binding raises a different class per status code, all plain Exceptions.
        raise InputError(
            f"{model_path}: cannot run calibration sample {number}: {reason_of(error)}"
        ) from error
    values.reverse()
    for name in names:
        value = values.pop()
        yield name, value if has_text else value.numpy()
