from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from vampnet_models.errors import InputError
from vampnet_models.onnxfile import artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.onnxfile.wire import fields, skeleton

N = 64


def write(path: Path, typed: bool = False) -> np.ndarray:
    """A product with a large weight, a small one, one as float_data and one in a subgraph."""
    rng = np.random.default_rng(0)
    large, typed_values = (rng.standard_normal((N, N)).astype(np.float32) for _ in range(2))
    weight = numpy_helper.from_array(large, "large")
    flat = helper.make_tensor("typed", TensorProto.FLOAT, [N, N], typed_values.reshape(-1))
    bias = numpy_helper.from_array(np.ones(N, np.float32), "bias")
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", N]) for n in ("x", "y")]
    nodes = [
        helper.make_node("MatMul", ["x", "large"], ["a"]),
        helper.make_node("MatMul", ["a", "typed"], ["b"]),
        helper.make_node("Add", ["b", "bias"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", info[:1], info[1:], [weight, flat, bias])
    opset = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return large


def test_the_skeleton_names_where_raw_data_lies(tmp_path: Path) -> None:
    path = tmp_path / "my model.onnx"
    large = write(path)
    found = onnx.ModelProto.FromString(skeleton(path))
    tensors = {t.name: t for t in found.graph.initializer}
    entries = {e.key: e.value for e in tensors["large"].external_data}
    assert entries["location"] == path.name
    offset, length = int(entries["offset"]), int(entries["length"])
    assert path.read_bytes()[offset : offset + length] == large.tobytes()
    assert not tensors["large"].raw_data
    assert tensors["bias"].raw_data and len(tensors["typed"].float_data) == N * N
    whole = onnx.load(path)
    assert found.graph.node == whole.graph.node and found.graph.input == whole.graph.input
    assert len(skeleton(path)) < path.stat().st_size - large.nbytes + 200


def test_a_large_file_is_mapped_and_saves_as_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.onnx"
    large = write(path)
    monkeypatch.setattr(artifact, "EXTERNAL_FROM_BYTES", 1024)
    model = artifact.load_model(path)
    tensor = model.graph.initializers["large"].const_value
    assert isinstance(tensor, ir.ExternalTensor)
    np.testing.assert_array_equal(tensor.numpy(), large)
    found = artifact.open_artifact(path)
    assert found.files == (path,) and found.bytes == path.stat().st_size
    before = path.read_bytes()
    for external in (True, False):
        out = tmp_path / "out" / f"{external}.onnx"
        artifact.save_model(artifact.load_model(path), out, external=external)
        feeds = {"x": np.ones((2, N), np.float32)}
        expected = open_session(path).run(feeds)["y"]
        np.testing.assert_array_equal(open_session(out).run(feeds)["y"], expected)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_large_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    path = tmp_path / "cut.onnx"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    monkeypatch.setattr(artifact, "EXTERNAL_FROM_BYTES", 1024)
    with pytest.raises(InputError, match="not a readable ONNX model"):
        artifact.load_model(path)


@pytest.mark.parametrize("content", [b"\x0b", b"\x0a\x05ab", b"\xff" * 12, b"\x00\x01"])
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"wire type|reaches beyond|does not end"):
        list(fields(content, 0, len(content)))
