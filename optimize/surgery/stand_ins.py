"""Constants that stand for a node on another constant, so that a precision finds its weight.

What no precision changes goes back: the node and the constant that the source has, which may be
smaller, or be stored for others anyhow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from optimize.surgery.graph import home_of, insert, tensor_of
from optimize.surgery.scopes import all_nodes
from optimize.surgery.unused import remove_unused

_STAND_IN = "optimize.stand_in"

_TURNED = {"perm": (1, 0)}


@dataclass(frozen=True)
class StandIn:
    """The constant and the node that a value stands for."""

    source: ir.Value
    op_type: str
    attributes: Mapping[str, int | Sequence[int]]


def remember(value: ir.Value, origin: StandIn) -> None:
    """Note what a constant was made of."""
    value.meta[_STAND_IN] = origin


def stored_turned(value: ir.Value) -> ir.Value | None:
    """The matrix that `value` is the transpose of, where others read it as it is."""
    origin = _origin(value)
    if origin is None or origin.attributes != _TURNED or not _is_stored(origin.source):
        return None
    return origin.source


def stored_bytes(value: ir.Value) -> int:
    """The size of a constant, or of what it is restored from."""
    origin = _origin(value)
    tensor = tensor_of(value if origin is None else origin.source)
    return 0 if tensor is None else tensor.nbytes


def _origin(value: ir.Value) -> StandIn | None:
    found = value.meta.get(_STAND_IN)
    return found if isinstance(found, StandIn) else None


def _is_stored(value: ir.Value) -> bool:
    return value.graph is not None and bool(value.uses())


def restore(model: ir.Model) -> None:
    """Put the nodes back, in bodies too, whose results would weigh more than the source does.

    A Cast always; a Transpose where the constant is stored as it is too, or cast itself.
    """
    for node in all_nodes(model.graph):
        for index, value in enumerate(node.inputs):
            back = None if value is None else _back(node, value)
            if back is not None:
                node.replace_input_with(index, back)
    remove_unused(model)


def _back(before: ir.Node, value: ir.Value) -> ir.Value | None:
    origin = _origin(value)
    if origin is None or tensor_of(value) is None:
        return None
    source = origin.source
    inner = _back(before, source)
    if origin.op_type == "Transpose" and inner is None and not _is_stored(source):
        return None
    if inner is None and source.graph is None:
        home_of(value).register_initializer(source)
    (back,) = insert(
        before,
        origin.op_type,
        [inner or source],
        origin.attributes,
        name=f"{before.name}/{origin.op_type.lower()}",
        dtypes=[value.dtype],
        shapes=[value.shape],
    )
    return back
