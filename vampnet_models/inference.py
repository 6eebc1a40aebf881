"""ONNX's inference of types and shapes, of a model in memory, in place.

Weights are not read: only their types and shapes go to ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import onnx_ir as ir

from vampnet_models.library_log import kept_log

SMALL_ELEMENTS = 1024
"""Constants up to this size are shown to ONNX: they may be the shapes of others."""

LONG_ELEMENTS = 65_536
"""ONNX writes out each value of an integer constant that it follows; not for one so long."""


def infer(model: ir.Model) -> str | None:
    """Fill in types and shapes where ONNX can tell them; the reason where it cannot at all.

    Sequences and optionals get their own types. What was known and is not told anew stays.
    """
    with kept_log("onnx_ir"):
        with _light(model):
            proto = ir.to_proto(model)
        try:
            found = onnx.shape_inference.infer_shapes(
                proto, check_type=False, strict_mode=False, data_prop=not _has_long_values(model)
            )
            inferred = ir.from_proto(found)
        except Exception as error:  # noqa: BLE001  # the binding raises plain classes of its own
            return " ".join(str(error).split())[-200:]
    for ours, theirs in zip(model.graphs(), inferred.graphs(), strict=True):
        known = ir.convenience.create_value_mapping(theirs)
        for name, value in ir.convenience.create_value_mapping(ours).items():
            told = known.get(name)
            if told is None:
                continue
            if told.type is not None:
                value.type = told.type
            if told.shape is not None:
                value.shape = told.shape
    return None


@contextmanager
def _light(model: ir.Model) -> Iterator[None]:
    """The model without its larger tensors; their values keep types and shapes meanwhile."""
    held = []
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None:
                continue
            value.type = value.type or ir.TensorType(tensor.dtype)
            value.shape = value.shape or ir.Shape(tensor.shape.numpy())
            if tensor.size > SMALL_ELEMENTS:
                held.append((value, tensor))
                value.const_value = None
    try:
        yield
    finally:
        for value, tensor in held:
            value.const_value = tensor


def _has_long_values(model: ir.Model) -> bool:
    """Whether an integer constant that ONNX would follow is made long, as by ConstantOfShape."""
    for node in model.graph.all_nodes():
        if node.op_type not in ("ConstantOfShape", "Range"):
            continue
        values = [_integers(value) for value in node.inputs]
        if any(each is None for each in values):
            continue
        if node.op_type == "ConstantOfShape":
            sizes = [max(size, 0) for size in values[0] or ()]
            if math.prod(sizes) > LONG_ELEMENTS:
                return True
        elif len(values) == 3 and all(values):
            start, limit, step = (each[0] for each in values if each)
            if step == 0 or (limit - start) / step > LONG_ELEMENTS:
                return True
    return False


def _integers(value: ir.Value | None) -> list[int] | None:
    """The elements of a small integer constant, of an initializer or a Constant node."""
    if value is None:
        return None
    tensor = value.const_value
    producer = value.producer()
    if tensor is None and producer is not None and producer.op_type == "Constant":
        given = producer.attributes.get("value") or producer.attributes.get("value_ints")
        given = given or producer.attributes.get("value_int")
        if given is None:
            return None
        values = np.asarray(given.value.numpy() if given.name == "value" else given.value)
    elif tensor is not None and tensor.size <= SMALL_ELEMENTS:
        values = np.asarray(tensor.numpy())
    else:
        return None
    return [int(each) for each in values.reshape(-1)] if values.dtype.kind in "iu" else None
