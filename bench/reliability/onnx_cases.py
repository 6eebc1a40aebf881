"""The onnx package's own backend test cases, as models with feeds, in two forms.

*inputs* is the case as published; *constants* has all inputs but the first as initializers, so
that a converter meets them as weights. Sequences, optionals and empty tensors of types that an
initializer cannot hold stay inputs; a case with nothing to make constant has one form.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from bench.reliability.judge import Feed, Value
from vampnet_models.onnxfile.operators import RANDOM_OPS

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
FORMS = ("inputs", "constants")


@dataclass(frozen=True)
class Case:
    """A model in one form: `feeds[i]` gives `expected[i]`, as published.

    `random` where an operator draws.
    """

    name: str
    kind: str
    form: str
    model: bytes
    feeds: tuple[Feed, ...]
    expected: tuple[tuple[Value, ...], ...]
    random: bool


def load_cases(kinds: tuple[str, ...] = KINDS) -> Iterator[Case]:
    """Every case of these kinds in each of its forms, in the order of their names."""
    for kind in kinds:
        with warnings.catch_warnings():
            # Making their expected outputs divides by zero here and there, as it should.
            warnings.simplefilter("ignore")
            published = sorted(load_model_tests(kind=kind), key=lambda case: case.name)
        for each in published:
            case = _as_published(each, kind)
            yield case
            constant = with_constants(case)
            if constant is not None:
                yield constant


def with_constants(case: Case) -> Case | None:
    """The case with all inputs but the first as initializers; None where none can be one.

    The first data set's values are taken, and only that one is kept. Initializers that are listed
    as inputs, as before IR version 4, are no longer.
    """
    model = onnx.load_from_string(case.model)
    graph, feed = model.graph, dict(case.feeds[0])
    taken = [
        info
        for info in list(graph.input)[1:]
        if info.type.HasField("tensor_type") and isinstance(feed.get(info.name), np.ndarray)
    ]
    stored = {tensor.name for tensor in graph.initializer}
    listed = [info for info in graph.input if info.name in stored]
    if not taken and not listed:
        return None
    for info in listed:
        graph.input.remove(info)
    for info in taken:
        tensor = numpy_helper.from_array(feed.pop(info.name), info.name)
        tensor.data_type = info.type.tensor_type.elem_type
        graph.initializer.append(tensor)
        graph.input.remove(info)
    return Case(
        case.name,
        case.kind,
        "constants",
        model.SerializeToString(),
        (feed,),
        case.expected[:1],
        case.random,
    )


def _as_published(published: Any, kind: str) -> Case:
    if published.model is not None:
        model, sets = published.model, published.data_sets
    else:
        folder = Path(published.model_dir)
        model = onnx.load(folder / "model.onnx")
        sets = _stored_sets(folder, model)
    names = [info.name for info in model.graph.input]
    return Case(
        published.name,
        kind,
        "inputs",
        model.SerializeToString(),
        tuple(dict(zip(names, map(_value, inputs), strict=False)) for inputs, _ in sets),
        tuple(tuple(map(_value, outputs)) for _, outputs in sets),
        any(node.op_type in RANDOM_OPS for node in _nodes(model)),
    )


def _stored_sets(folder: Path, model: onnx.ModelProto) -> list[tuple[list[Value], list[Value]]]:
    sets = sorted(folder.glob("test_data_set_*"))
    return [
        (_stored(each, "input", model.graph.input), _stored(each, "output", model.graph.output))
        for each in sets
    ]


def _stored(folder: Path, side: str, declared: Any) -> list[Value]:
    """The stored values of the first inputs or outputs: a sample may leave out the last ones."""
    protos: dict[str, tuple[Any, Callable[[Any], Value]]] = {
        "tensor_type": (onnx.TensorProto, numpy_helper.to_array),
        "sequence_type": (onnx.SequenceProto, numpy_helper.to_list),
        "optional_type": (onnx.OptionalProto, numpy_helper.to_optional),
    }
    found = []
    for info, path in zip(declared, _numbered(folder, side), strict=False):
        proto, read = protos[info.type.WhichOneof("value")]
        found.append(read(proto.FromString(path.read_bytes())))
    return found


def _numbered(folder: Path, side: str) -> list[Path]:
    return [folder / f"{side}_{i}.pb" for i in range(len(list(folder.glob(f"{side}_*.pb"))))]


def _value(given: Any) -> Value:
    if isinstance(given, onnx.TensorProto):
        return numpy_helper.to_array(given)
    return np.asarray(given) if isinstance(given, np.generic) else given


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    waiting = [*model.graph.node, *(n for function in model.functions for n in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)
