"""What a file declares is compared with what it holds, before any library reads the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.vampbench.conftest import Finished, vampbench  # noqa: F401 - a fixture
from vampnet_models.errors import InputError
from vampnet_models.onnxfile import header
from vampnet_models.onnxfile.artifact import copy_model, load_model, open_artifact, save_model
from vampnet_models.onnxfile.header import checked
from vampnet_models.onnxfile.session import open_session

Place = Callable[[ModelProto, TensorProto], None]


def value(name: str, shape: list[int | str | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(*tensors: TensorProto) -> ModelProto:
    """y = x + w, with further initializers."""
    weight = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], name="add")],
        "g",
        [value("x", ["n", 4])],
        [value("y", ["n", 4])],
        [weight, *tensors],
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def external(location: str, **entries: object) -> TensorProto:
    """Four float32 values outside."""
    tensor = TensorProto(name="outer", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, given in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(given))
    return tensor


def _initializer(made: ModelProto, tensor: TensorProto) -> None:
    made.graph.initializer.append(tensor)


def _body(made: ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Identity", ["outer"], ["o"])
    inner = helper.make_graph([node], "b", [], [value("o", [4])], [tensor])
    condition = numpy_helper.from_array(np.array(True), "c")
    made.graph.initializer.append(condition)
    made.graph.node.append(
        helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    )
    made.graph.output.append(value("z", [4]))


def _attribute(made: ModelProto, tensor: TensorProto) -> None:
    node = made.graph.node.add(op_type="Constant", output=["z"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    made.graph.output.append(value("z", [4]))


def _attributes(made: ModelProto, tensor: TensorProto) -> None:
    node = made.graph.node[0]
    node.attribute.add(name="own", type=onnx.AttributeProto.TENSORS).tensors.append(tensor)


def _function(made: ModelProto, tensor: TensorProto) -> None:
    node = onnx.NodeProto(op_type="Constant", output=["b"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    imports = [helper.make_opsetid("", 21)]
    made.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], imports))


def _sparse(made: ModelProto, tensor: TensorProto) -> None:
    sparse = made.graph.sparse_initializer.add(dims=[16])
    sparse.values.CopyFrom(tensor)
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(4), "indices"))


def _training(made: ModelProto, tensor: TensorProto) -> None:
    made.training_info.add().algorithm.initializer.append(tensor)


PLACES = [_initializer, _body, _attribute, _attributes, _function, _sparse, _training]
OUTSIDE = [
    ("/etc/passwd", "an absolute path"),
    ("../secret", "leaves the folder"),
    ("a/../../secret", "leaves the folder"),
    ("..\\secret", "leaves the folder"),
    ("\\\\host\\secret", "an absolute path"),
    ("C:\\secret", "an absolute path"),
    ("*/_ORT_MEM_ADDR_/*", "an address in memory"),
    ("", "no name of a file"),
    ("a\0b", "no name of a file"),
    ("\x1b[2J", "no name of a file"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.__name__)
@pytest.mark.parametrize(("location", "said"), OUTSIDE)
def test_a_location_outside_is_refused_wherever_it_stands(
    tmp_path: Path, place: Place, location: str, said: str
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    os.mkfifo(tmp_path / "secret")  # whoever opened it would wait for ever
    made = model()
    place(made, external(location))
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=said) as caught:
        open_artifact(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).isprintable()


@pytest.mark.parametrize("place", [_function, _sparse, _training], ids=lambda p: p.__name__)
def test_where_nothing_external_can_be_read_it_is_refused(tmp_path: Path, place: Place) -> None:
    made = model()
    place(made, external("data"))
    (tmp_path / "data").write_bytes(bytes(16))
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match="put it in the file"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("place", [_initializer, _body], ids=lambda p: p.__name__)
def test_links_pipes_and_folders_are_no_data(tmp_path: Path, place: Place) -> None:
    made = model()
    place(made, external("sub/data"))
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "data").write_bytes(bytes(16))

    def refused(said: str) -> None:
        with pytest.raises(InputError, match=said):
            open_artifact(path)

    refused("external data sub/data is missing")
    (tmp_path / "sub").symlink_to(whole)
    refused("sub: is a link")
    (tmp_path / "sub").unlink()
    (tmp_path / "sub").mkdir()
    data = tmp_path / "sub" / "data"
    data.symlink_to(whole / "data")
    refused("data: is a link")
    data.unlink()
    data.hardlink_to(whole / "data")
    refused("data: is a link")
    data.unlink()
    os.mkfifo(data)
    refused("data: is no regular file")
    data.unlink()
    data.mkdir()
    refused("is a folder")
    data.rmdir()
    data.write_bytes(bytes(15))
    refused("truncated: 15 bytes of 16")


@pytest.mark.parametrize("place", [_initializer, _body, _attribute], ids=lambda p: p.__name__)
@pytest.mark.parametrize("is_external", [True, False])
def test_data_in_a_folder_below_is_hashed_copied_and_saved(
    tmp_path: Path, place: Place, is_external: bool
) -> None:
    made = model()
    place(made, external("sub/data", offset=16, length=16))
    if place is _initializer:
        made.graph.node.append(helper.make_node("Identity", ["outer"], ["z"]))
        made.graph.output.append(value("z", [4]))
    (tmp_path / "sub").mkdir()
    values = np.arange(8, dtype=np.float32)
    (tmp_path / "sub" / "data").write_bytes(values.tobytes())
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    found = open_artifact(path)
    assert found.files == (path, tmp_path / "sub" / "data")
    out = tmp_path / "out" / "m.onnx"
    save_model(load_model(path), out, external=is_external)
    copied = copy_model(found, tmp_path / "copy")
    assert open_artifact(copied).sha256 == found.sha256
    for each in (out, copied):
        z = open_session(each).run({"x": np.zeros((1, 4), np.float32)}, ["z"])["z"]
        np.testing.assert_array_equal(z, values[4:])


def _entries(location: str) -> list[onnx.StringStringEntryProto]:
    return [onnx.StringStringEntryProto(key="location", value=location)]


def _tensor(**fields: object) -> TensorProto:
    given = {"name": "t", "data_type": TensorProto.FLOAT, "dims": [2]}
    return TensorProto(**{**given, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (_tensor(dims=[-1], raw_data=b""), "a dimension below 0"),
        (_tensor(dims=[2**62], raw_data=b""), "larger than any memory"),
        (_tensor(dims=[2**40, 2**40, 0], raw_data=b""), "larger than any memory"),
        (_tensor(dims=[1] * 65, raw_data=bytes(4)), "over 64 dimensions"),
        (_tensor(raw_data=bytes(7)), "holds 7 bytes, not 8"),
        (_tensor(raw_data=bytes(9)), "holds 9 bytes, not 8"),
        (_tensor(), "holds 0 values, not 2"),
        (_tensor(float_data=[1, 2, 3]), "holds 3 values, not 2"),
        (_tensor(data_type=1, int32_data=[1, 2]), "holds 0 values, not 2"),
        (_tensor(data_type=7, int64_data=[-1]), "holds 1 values, not 2"),
        (_tensor(data_type=8, string_data=[b"a"]), "holds 1 values, not 2"),
        (_tensor(data_type=14, float_data=[1, 2]), "holds 2 values, not 4"),
        (_tensor(data_type=22, int32_data=[1, 2]), "holds 2 values, not 1"),
        (_tensor(data_type=0, raw_data=b""), "is of no type"),
        (_tensor(data_type=99, raw_data=b""), "of type 99, which ONNX does not have"),
        (_tensor(data_type=-1, raw_data=b""), "which ONNX does not have"),
        (_tensor(data_location=1, raw_data=bytes(8), external_data=_entries("d")), "data twice"),
        (external("d", length=15), "15 bytes of external data, and a shape of 16"),
        (external("d", offset=-1), "offset of '-1': no size"),
        (external("d", offset="9" * 30), "no size"),
        (external("d", length="0x10"), "no size"),
        (external("d", offset=2**62), "no size"),
    ],
)
def test_a_tensor_holds_what_its_shape_says(tensor: TensorProto, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(model(tensor).SerializeToString())


def test_every_type_of_data_is_counted_as_it_is_packed() -> None:
    arrays = [
        numpy_helper.from_array(np.zeros((2, 3), dtype), str(dtype))
        for dtype in (np.float32, np.int64, np.bool_, np.float16, np.complex64, np.uint64)
    ]
    typed = [
        helper.make_tensor(f"t{dtype}", dtype, [3], [0, 1, 1])
        for dtype in TensorProto.DataType.values()
        if dtype not in (TensorProto.UNDEFINED, TensorProto.STRING)
    ]
    texts = helper.make_tensor("s", TensorProto.STRING, [2], [b"\xff", b""])
    negative = helper.make_tensor("n", TensorProto.INT32, [3], [-1, 2**31 - 1, -(2**31)])
    nothing = helper.make_tensor("e", TensorProto.FLOAT, [0, 5], [])
    made = model(*arrays, *typed, texts, negative, nothing)
    assert checked(made.SerializeToString()) == ()


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


def test_a_sparse_tensor_fits_its_dense_form() -> None:
    def sparse(dims: list[int], indices: np.ndarray) -> ModelProto:
        made = model()
        made_sparse = made.graph.sparse_initializer.add(dims=dims)
        values = np.ones(3, np.float32)
        made_sparse.values.CopyFrom(numpy_helper.from_array(values, "s"))
        made_sparse.indices.CopyFrom(numpy_helper.from_array(indices, "i"))
        return made

    for dims, indices in (([9], np.arange(3)), ([3, 3], np.zeros((3, 2), np.int64))):
        assert checked(sparse(dims, indices).SerializeToString()) == ()
    for dims, indices, said in (
        ([2**30, 2**3], np.arange(3), "dense form of 34,359,738,368 bytes"),
        ([2**60, 2**3], np.arange(3), "larger than any memory"),
        ([-9], np.arange(3), "a dimension below 0"),
        ([9], np.arange(4), "indices do not fit"),
        ([3, 3], np.zeros((3, 3), np.int64), "indices do not fit"),
        ([9], np.arange(3, dtype=np.int32), "indices do not fit"),
        ([2], np.arange(3), "fewer values"),
    ):
        with pytest.raises(ValueError, match=said):
            checked(sparse(dims, indices).SerializeToString())


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
    _function(made, numpy_helper.from_array(np.ones(4, np.float32)))
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


@pytest.mark.parametrize("command", ["inspect", "fuse", "fp16", "weights", "run", "profile"])
def test_every_command_refuses_a_model_that_reads_outside(
    tmp_path: Path,
    vampbench: Callable[..., Finished],  # noqa: F811
    command: str,
) -> None:
    os.mkfifo(tmp_path / "secret")
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "m.onnx"
    path.write_bytes(model(external("../secret")).SerializeToString())
    output = () if command == "inspect" else ("-o", tmp_path / "out")
    done = vampbench(command, path, *output)
    assert done.code == 2 and "'../secret': a path that leaves the folder" in done.stderr
    assert "Traceback" not in done.stderr
