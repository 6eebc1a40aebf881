"""Operators that a training-mode export leaves in a graph, where answers are drawn at random."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

_RATIO, _SWITCH = 1, 2
"""Inputs of Dropout."""


def training_nodes(model: ir.Model) -> list[str]:
    """The nodes that drop values or use the batch's own statistics, bodies included."""
    return [node.name or node.op_type for node in _found(model)]


def training_warning(model: ir.Model) -> str | None:
    """What is wrong with a model in training mode and what to do; None for any other."""
    names = training_nodes(model)
    if not names:
        return None
    return (
        f"exported in training mode: {len(names)} nodes drop values or use the batch's statistics "
        f"({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}): export it after eval()"
    )


def _found(model: ir.Model) -> Iterator[ir.Node]:
    for node in model.graph.all_nodes():
        if node.op_type == "Dropout" and _drops(node):
            yield node
        elif node.op_type == "BatchNormalization":
            mode = node.attributes.get("training_mode")
            if mode is not None and mode.as_int():
                yield node


def _drops(node: ir.Node) -> bool:
    """Whether a Dropout is switched on; before opset 12 it had no switch."""
    if len(node.inputs) <= _SWITCH or _is_zero(node.inputs[_RATIO]):
        return False
    return node.inputs[_SWITCH] is not None and not _is_zero(node.inputs[_SWITCH])


def _is_zero(value: ir.Value | None) -> bool:
    """Whether a constant is zero or false."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return tensor is not None and tensor.size == 1 and not tensor.numpy().reshape(-1)[0]
