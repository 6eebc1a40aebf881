"""What a conversion must keep: the inputs and outputs of the main graph and of every body.

One check for all recipes. Of the main graph: names, order, types; declared shapes are given back.
Of the bodies of If, Loop and Scan: number, order and kind of what they hand out.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass

import onnx_ir as ir

from vampnet_models.errors import PromiseMissed

_NAMED = 3
"""So many names are told where more are concerned."""


@dataclass(frozen=True)
class _Port:
    """An input or output as the source declares it."""

    name: str
    type: ir.TypeProtocol | None
    shape: ir.Shape | None


@dataclass(frozen=True)
class _Body:
    """A graph within a node: what it hands out, and which of that it does not make itself."""

    graph: ir.Graph
    outputs: tuple[ir.TypeProtocol | None, ...]
    handed_on: frozenset[int]


@dataclass(frozen=True)
class Interface:
    """The interface of a model before anything is done to it."""

    inputs: tuple[_Port, ...]
    outputs: tuple[_Port, ...]
    bodies: tuple[_Body, ...]


def interface_of(model: ir.Model) -> Interface:
    """The interface of a model as it came in."""
    bodies = (graph for graph in model.graphs() if graph is not model.graph)
    return Interface(
        tuple(_port(value) for value in model.graph.inputs),
        tuple(_port(value) for value in model.graph.outputs),
        tuple(_Body(g, tuple(deepcopy(v.type) for v in g.outputs), _handed_on(g)) for g in bodies),
    )


def make_constants_of_inputs(model: ir.Model) -> list[str]:
    """Take initializers out of the inputs (as IR version 3 had to list them); their names.

    They are constants then: nobody can give another value for them.
    """
    graph = model.graph
    listed = [v for v in graph.inputs if v.name in graph.initializers]
    for value in listed:
        graph.inputs.remove(value)
    return [value.name or "" for value in listed]


def repeated_node_names(model: ir.Model) -> list[str]:
    """Names that several nodes of one graph have; ONNX Runtime refuses such a model."""
    found: list[str] = []
    for graph in model.graphs():
        names = Counter(node.name for node in graph if node.name)
        found.extend(name for name, count in names.items() if count > 1)
    return found


def warnings_on(constants: list[str], repeated: list[str]) -> list[str]:
    """What is told of inputs that became constants and of names that were made unique."""
    lines = []
    if constants:
        lines.append(
            f"{len(constants)} initializers were listed as inputs and are constants now: "
            f"{_some(constants)}"
        )
    if repeated:
        lines.append(
            f"{len(repeated)} names were those of several nodes, which ONNX Runtime refuses, and "
            f"were made unique: {_some(repeated)}"
        )
    return lines


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def keep(model: ir.Model, source: Interface, *, io: ir.DataType | None = None) -> None:
    """Give a converted model the declared shapes of its source back, and check the rest.

    With `io`, float inputs and outputs may have that type in place of float32. Raises
    PromiseMissed that names what is not as it was.
    """
    for ports, values, what in (
        (source.inputs, model.graph.inputs, "input"),
        (source.outputs, model.graph.outputs, "output"),
    ):
        names = [value.name for value in values]
        wanted = [port.name for port in ports]
        if names != wanted:
            raise PromiseMissed(f"its {what}s {wanted} became {names}; nothing was written")
        for port, value in zip(ports, values, strict=True):
            _restore(port, value, what, io)
    _check_bodies(model, source)


def _restore(port: _Port, value: ir.Value, what: str, io: ir.DataType | None) -> None:
    if port.type is not None and value.type is not None and port.type != value.type:
        is_io = io is not None and port.type.dtype == ir.DataType.FLOAT and value.dtype == io
        if not is_io:
            raise PromiseMissed(
                f"its {what} {port.name} was {port.type} and became {value.type}; "
                "nothing was written"
            )
    elif value.type is None:
        value.type = deepcopy(port.type)
    value.shape = None if port.shape is None else port.shape.copy()


def _check_bodies(model: ir.Model, source: Interface) -> None:
    known = {body.graph: body for body in source.bodies}
    for graph in model.graphs():
        body = known.get(graph)
        if graph is model.graph or body is None:
            continue
        where = f"the body {graph.name or ''} of a control-flow node"
        types = [value.type for value in graph.outputs]
        if len(types) != len(body.outputs):
            raise PromiseMissed(f"{where} handed out {len(body.outputs)} values, now {len(types)}")
        for number, (was, now) in enumerate(zip(body.outputs, types, strict=True)):
            if was is not None and now is not None and not _alike(was.dtype, now.dtype):
                raise PromiseMissed(f"{where}: its output {number} was {was} and became {now}")
        foreign = _handed_on(graph) - body.handed_on
        if foreign:
            raise PromiseMissed(f"{where} hands on a value that it does not make: {min(foreign)}")


def _alike(was: ir.DataType, now: ir.DataType) -> bool:
    """Whether a body's output is of the same kind: a precision may change the float that it is."""
    return was == now or (was.is_floating_point() and now.is_floating_point())


def _handed_on(graph: ir.Graph) -> frozenset[int]:
    """Places of outputs that are made elsewhere, or that stand at an earlier place already."""
    found, seen = set(), set()
    for place, value in enumerate(graph.outputs):
        producer = value.producer()
        is_own = value.name in graph.initializers if producer is None else producer.graph is graph
        if not is_own or value in seen:
            found.add(place)
        seen.add(value)
    return frozenset(found)


def _port(value: ir.Value) -> _Port:
    # Copies: a new dtype is written into the type that a value has.
    shape = None if value.shape is None else value.shape.copy()
    return _Port(value.name or "", deepcopy(value.type), shape)
