"""What a file declares of its values and nodes is checked, before any library reads the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from tests.vampnet_models.onnxfile.protos import model, value, with_function
from vampnet_models.errors import InputError
from vampnet_models.onnxfile import header
from vampnet_models.onnxfile.artifact import load_model, open_artifact
from vampnet_models.onnxfile.header import checked
from vampnet_models.onnxfile.session import open_session


@pytest.mark.parametrize("dim", [-1, -(2**63)])
def test_a_dimension_below_0_of_a_value_is_an_unknown_one(tmp_path: Path, dim: int) -> None:
    made = model()
    for each in (made.graph.input[0], made.graph.output[0]):
        each.type.tensor_type.shape.dim[0].dim_value = dim
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    assert open_artifact(tmp_path / "m.onnx").spec.inputs[0].shape == (None, 4)
    x = np.ones((3, 4), np.float32)
    assert open_session(tmp_path / "m.onnx").run({"x": x})["y"].shape == (3, 4)


def _nested(depth: int) -> ModelProto:
    made = model()
    inner = made.graph
    for _ in range(depth):
        node = onnx.NodeProto(op_type="If")
        node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)
        inner = onnx.GraphProto(node=[node], output=[value("y", [1])])
    made.graph.CopyFrom(inner)
    return made


def _deep_type(depth: int) -> ModelProto:
    made = model()
    kind = made.graph.input[0].type
    for _ in range(depth):
        outer = onnx.TypeProto()
        outer.sequence_type.elem_type.CopyFrom(kind)
        kind.CopyFrom(outer)
    return made


def _value_shape(*dims: int) -> ModelProto:
    made = model()
    made.graph.input[0].CopyFrom(value("x", list(dims)))
    return made


def _value_type(dtype: int) -> ModelProto:
    made = model()
    made.graph.value_info.add(name="v").type.tensor_type.elem_type = dtype
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_nested(24), "nested over 24 deep"),
        (_deep_type(20), "a type is nested over 16 deep"),
        (_value_shape(2**40, 2**40), "larger than any memory"),
        (_value_shape(*[1] * 65), "65 dimensions, over 64"),
        (_value_type(99), "of type 99"),
    ],
)
def test_values_and_bodies_have_bounds(made: ModelProto, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(made.SerializeToString())
    assert checked(_nested(20).SerializeToString()) == ()


def field(number: int, content: bytes) -> bytes:
    """A delimited field of a message."""
    length = len(content)
    sizes = []
    while length > 127:
        sizes.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *sizes, length]) + content


def test_what_no_writer_makes_is_refused() -> None:
    whole = model().SerializeToString()
    graph = model().graph.SerializeToString()
    for content, said in (
        (whole + field(7, graph), "a graph stands twice"),
        (field(7, graph + field(1, field(4, b"\xff"))), "no UTF-8 text"),
        (field(7, graph + field(5, field(8, b"\xff"))), "no UTF-8 text"),
        (whole[:-3], "reaches beyond|does not end|ends in"),
        (b"\x3a\xff\xff\xff\xff\xff\x7f", "reaches beyond"),
        (b"\x3a" + b"\xff" * 11, "does not end"),
        (b"\x3a", "ends in the middle"),
        (b"\x3b\x3c", "wire type 3"),
    ):
        with pytest.raises(ValueError, match=said):
            checked(content)


@pytest.mark.parametrize(
    "many",
    [
        field(1, field(4, b"Abs")),
        field(1, field(1, b"") * 3),
        field(1, field(5, b"\xa0\x01\x02")),
        field(1, field(5, field(8, b"\1" * 60))),
        field(1, field(5, b"\x40\1" * 60)),
        field(1, field(5, field(7, bytes(240)))),
        field(5, b"\x08\0\x10\1"),
        field(13, b""),
        field(13, field(2, field(1, b"\x08\1" + field(2, field(1, b"") * 20)))),
    ],
)
def test_what_takes_memory_to_read_is_bounded_by_the_files_size(
    many: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = model().graph.SerializeToString()
    monkeypatch.setattr(header, "_BUDGET_BYTES", 200_000)
    assert checked(field(7, graph + many * 20)) == ()
    with pytest.raises(ValueError, match="would take over 200,000 bytes of memory to read"):
        checked(field(7, graph + many * 2000))


def _no_opset(made: ModelProto) -> None:
    del made.opset_import[:]


def _bad_opset(made: ModelProto) -> None:
    made.opset_import[0].version = -3


def _no_type(made: ModelProto) -> None:
    made.graph.node[0].attribute.add(name="a")


def _reference(made: ModelProto) -> None:
    made.graph.node[0].attribute.add(name="a", ref_attr_name="b", type=1)


def _constant(made: ModelProto) -> None:
    made.graph.node.append(helper.make_node("Constant", [], ["z"], value_x=1.0))


def _call(made: ModelProto) -> None:
    with_function(made, numpy_helper.from_array(np.ones(4, np.float32)))
    made.opset_import.append(helper.make_opsetid("own", 1))
    made.graph.node.append(helper.make_node("F", ["x", "x"], ["z"], domain="own"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_opset, "names no opset"),
        (_bad_opset, "opset -3 of 'ai.onnx' is no version"),
        (_no_type, "without a name or type"),
        (_reference, "refers to a function's attribute"),
        (_constant, "a Constant without one value"),
        (_call, "has 2 inputs, its function 1"),
    ],
)
def test_what_a_node_says_of_itself_is_checked(
    tmp_path: Path, change: Callable[[ModelProto], None], said: str
) -> None:
    made = model()
    change(made)
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=said):
        load_model(tmp_path / "m.onnx")
