"""ONNX's inference of types and shapes, of a model in memory, in place.

Weights are not read: only their types and shapes go to ONNX.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir

from vampnet_models.onnxfile.followed import infer_shapes


class _Kept(logging.Handler):
    """Keeps the first line of each record."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text without its traceback."""
        self.lines.append(record.getMessage().split("\n", 1)[0])


@contextmanager
def _kept_log(*libraries: str) -> Iterator[list[str]]:
    """The warnings that these libraries log meanwhile; none reaches the standard error."""
    handler = _Kept()
    loggers = [logging.getLogger(name) for name in libraries]
    before = [each.propagate for each in loggers]
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
    try:
        yield handler.lines
    finally:
        for each, propagate in zip(loggers, before, strict=True):
            each.removeHandler(handler)
            each.propagate = propagate


_SMALL_ELEMENTS = 1024
"""Constants up to this size are shown to ONNX: they may be the shapes of others."""


def infer(model: ir.Model) -> str | None:
    """Fill in types and shapes where ONNX can tell them; the reason where it cannot at all.

    Sequences and optionals get their own types. What was known and is not told anew stays.
    """
    with _kept_log("onnx_ir"):
        with _light(model):
            proto = ir.to_proto(model)
        try:
            inferred = ir.from_proto(infer_shapes(proto))
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
            # What is computed as it is written is a weight: never the shape of another value.
            if tensor.size > _SMALL_ELEMENTS or isinstance(tensor, ir.LazyTensor):
                held.append((value, tensor))
                value.const_value = None
    try:
        yield
    finally:
        for value, tensor in held:
            value.const_value = tensor
