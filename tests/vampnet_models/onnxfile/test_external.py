"""Where external data may lie, before any library reads the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.vampbench.conftest import Finished, vampbench  # noqa: F401 - a fixture
from tests.vampnet_models.onnxfile.protos import external, model, value, with_function
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import copy_model, load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session

Place = Callable[[ModelProto, TensorProto], None]


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


def _sparse(made: ModelProto, tensor: TensorProto) -> None:
    sparse = made.graph.sparse_initializer.add(dims=[16])
    sparse.values.CopyFrom(tensor)
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(4), "indices"))


def _training(made: ModelProto, tensor: TensorProto) -> None:
    made.training_info.add().algorithm.initializer.append(tensor)


PLACES = [_initializer, _body, _attribute, _attributes, with_function, _sparse, _training]
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


@pytest.mark.parametrize("place", [with_function, _sparse, _training], ids=lambda p: p.__name__)
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
