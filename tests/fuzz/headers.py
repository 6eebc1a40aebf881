"""Mutants of ONNX files: fields of their messages, and bytes of the wire format."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from onnx import TensorProto, helper, numpy_helper

from optimize.build import build_variant
from optimize.recipes import find_recipe
from tests.fuzz.changes import EXTREMES, Rng, at_bytes, extreme, pick
from tests.fuzz.runner import Kind, Mutant
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.repair.inspection import inspect_model

FOREIGN = Path(__file__).resolve().parents[1] / "fixtures" / "foreign" / "tokens_classic.onnx"
DATA_NAME = "m.onnx.data"
MAX_DEPTH = 40

TEXTS = (
    *("", "x", "ai.onnx", "com.microsoft", "\x1b[2J", "a\nb", "é" * 300, "../../etc/passwd"),
    *("/etc/passwd", "C:\\x", "a\0b", "x" * 10_000, "Conv", "If", "Loop", "Constant", "Identity"),
    *("codes", "mask", "logits", "-1", "18446744073709551616", "offset", "location", "length"),
)


def _weight(name: str, *shape: int) -> onnx.TensorProto:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def _convolution() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3], pads=[1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["y"], transB=1),
    ]
    shape = numpy_helper.from_array(np.array([1, -1], np.int64), "shape")
    weights = [_weight("w", 4, 2, 3), _weight("b", 4), shape, _weight("g", 3, 32)]
    return _model(nodes, weights, [("x", [1, 2, 8])], [("y", [1, 3])])


def _branches() -> onnx.ModelProto:
    def body(name: str, op_type: str) -> onnx.GraphProto:
        node = helper.make_node(op_type, ["x", "w"], [name])
        return helper.make_graph([node], name, [], [_value(name, [2, 2])])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["p"]),
        helper.make_node("If", ["p"], ["y"], then_branch=body("t", "MatMul"),
                         else_branch=body("e", "Add")),
    ]  # fmt: skip
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    return _model(nodes, [_weight("w", 2, 2), zero], [("x", [2, 2])], [("y", [2, 2])])


def _loop() -> onnx.ModelProto:
    inner = helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["more_out"]),
            helper.make_node("MatMul", ["state", "w"], ["next"]),
            helper.make_node("Identity", ["next"], ["each"]),
        ],
        "body",
        [_value("i", [], TensorProto.INT64), _value("more", [], TensorProto.BOOL),
         _value("state", ["n", 4])],
        [_value("more_out", [], TensorProto.BOOL), _value("next", ["n", 4]),
         _value("each", ["n", 4])],
    )  # fmt: skip
    trips = numpy_helper.from_array(np.array(3, np.int64), "trips")
    node = helper.make_node("Loop", ["trips", "", "x"], ["y", "all"], body=inner)
    outputs = [("y", ["n", 4]), ("all", [3, "n", 4])]
    return _model([node], [trips, _weight("w", 4, 4)], [("x", ["n", 4])], outputs)


def _external() -> onnx.ModelProto:
    model = _convolution()
    for tensor, offset in ((model.graph.initializer[0], 0), (model.graph.initializer[3], 96)):
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", DATA_NAME), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
    return model


def _function() -> onnx.ModelProto:
    model = _convolution()
    imports = [helper.make_opsetid("", 18)]
    node = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], [node], imports))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node("Twice", ["y"], ["z"], domain="own"))
    model.graph.output.append(_value("z", [1, 3]))
    return model


def _value(
    name: str, shape: list[Any] | tuple[()], kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    inputs: list[tuple[str, list[Any]]],
    outputs: list[tuple[str, list[Any]]],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "g", [_value(*i) for i in inputs], [_value(*o) for o in outputs], weights
    )
    imports = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _foreign() -> onnx.ModelProto:
    return onnx.load(FOREIGN)


SEEDS = (_convolution, _branches, _loop, _external, _function, _foreign)


@cache
def _whole(index: int) -> bytes:
    return SEEDS[index]().SerializeToString()


def _mutate(rng: Rng) -> Mutant:
    index = int(rng.integers(len(SEEDS)))
    whole = _whole(index)
    name, change = pick(rng, (("field", _fields), ("field", _fields), ("bytes", _bytes)))
    return Mutant("m.onnx", change(whole, rng), f"{SEEDS[index].__name__.strip('_')}: {name}")


def _bytes(whole: bytes, rng: Rng) -> bytes:
    """Flips, cuts, extremes; half of the time where the names and shapes are, not the weights."""
    if rng.random() < 0.2:
        return whole[: int(rng.integers(len(whole)))]
    if rng.random() < 0.1:
        return whole + rng.bytes(int(rng.integers(1, 100)))
    start, stop = (0, 3000) if rng.random() < 0.5 else (max(0, len(whole) - 1500), len(whole))
    return at_bytes(whole, rng, start, stop)


def _fields(whole: bytes, rng: Rng) -> bytes:
    """One to four changes of fields somewhere in the message."""
    model = onnx.ModelProto.FromString(whole)
    for _ in range(int(rng.integers(1, 5))):
        places = _places(model)
        # External data and shapes are the most dangerous: they are met more often.
        risky = [p for p in places if p[1].name in _RISKY]
        message, field = pick(rng, risky if risky and rng.random() < 0.4 else places)
        try:
            _change(message, field, rng)
        except (ValueError, TypeError, EncodeError, DecodeError):
            continue
    return model.SerializeToString()


_RISKY = frozenset(
    ("dims", "dim_value", "external_data", "value", "data_location", "data_type", "elem_type")
)


def _places(message: Message, depth: int = 0) -> list[tuple[Message, FieldDescriptor]]:
    found = []
    for field in message.DESCRIPTOR.fields:
        found.append((message, field))
        if field.message_type is None or depth > MAX_DEPTH:
            continue
        if _repeated(field):
            for part in getattr(message, field.name):
                found += _places(part, depth + 1)
        elif message.HasField(field.name):
            found += _places(getattr(message, field.name), depth + 1)
    return found


def _repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _change(message: Message, field: FieldDescriptor, rng: Rng) -> None:
    if rng.random() < 0.1:
        message.ClearField(field.name)
    elif field.message_type is not None:
        _change_message(message, field, rng)
    elif _repeated(field):
        values = getattr(message, field.name)
        if values and rng.random() < 0.7:
            values[int(rng.integers(len(values)))] = _scalar(field, rng)
        elif rng.random() < 0.05:
            values.extend([_scalar(field, rng)] * 10_000)
        else:
            values.append(_scalar(field, rng))
    else:
        setattr(message, field.name, _scalar(field, rng))


def _change_message(message: Message, field: FieldDescriptor, rng: Rng) -> None:
    if not _repeated(field):
        getattr(message, field.name).SetInParent()
        return
    parts = getattr(message, field.name)
    match int(rng.integers(4)) if parts else 3:
        case 0:
            del parts[int(rng.integers(len(parts)))]
        case 1:
            copied = type(parts[0]).FromString(pick(rng, parts).SerializeToString())
            parts.extend([copied] * int(pick(rng, (1, 1, 1, 3, 1000))))
        case 2:
            first, second = pick(rng, parts), pick(rng, parts)
            kept = type(first).FromString(first.SerializeToString())
            first.CopyFrom(second)
            second.CopyFrom(kept)
        case 3:
            parts.add()


def _scalar(field: FieldDescriptor, rng: Rng) -> object:
    kinds = FieldDescriptor
    match field.cpp_type:
        case kinds.CPPTYPE_STRING:
            words = pick(rng, TEXTS)
            if field.type == kinds.TYPE_BYTES:
                return words.encode() if rng.random() < 0.5 else rng.bytes(int(rng.integers(64)))
            return str(pick(rng, EXTREMES)) if rng.random() < 0.2 else words
        case kinds.CPPTYPE_FLOAT | kinds.CPPTYPE_DOUBLE:
            return float(pick(rng, (np.nan, np.inf, -np.inf, 0.0, -1.0, 3e38, 1e-45)))
        case kinds.CPPTYPE_BOOL:
            return bool(rng.integers(2))
        case kinds.CPPTYPE_INT64:
            value = extreme(rng, 64)
            return value - (1 << 64) if value >> 63 else value
        case kinds.CPPTYPE_INT32:
            value = extreme(rng, 32)
            return value - (1 << 32) if value >> 31 else value
        case kinds.CPPTYPE_ENUM:
            return int(rng.integers(-1, 30))
    return extreme(rng, 32)


def _beside(path: Path) -> None:
    data = path.with_name(DATA_NAME)
    if not data.exists():
        data.write_bytes(np.random.default_rng(0).standard_normal(200).astype("<f4").tobytes())


def _inspect(path: Path, _out: Path) -> int:
    _beside(path)
    inspect_model(path)
    return 10 * path.stat().st_size


def _fuse(path: Path, out: Path) -> int:
    _beside(path)
    build_variant(open_artifact(path), find_recipe("fused"), out / "fused.onnx")
    return 10 * path.stat().st_size


def _prepare() -> None:
    for index in range(len(SEEDS)):
        _whole(index)


KIND = Kind("headers", _mutate, (_inspect, _fuse), (WorkbenchError, NotApplicable), _prepare)
