import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from tests.tiny_graphs import tensor, write
from vampnet_models.architectures.graph_writer import GraphBuilder
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import Role


@pytest.fixture
def doubled(tmp_path):
    b = GraphBuilder("g")
    x = b.input("x", ir.DataType.FLOAT, ["n"])
    b.output(b.op("Add", x, x), "y", ir.DataType.FLOAT, ["n"])
    path = tmp_path / "m.onnx"
    save_model(b.finish({}), path)
    return path


def test_outputs_come_by_name(doubled):
    session = open_session(doubled, threads=1, graph_optimization="disabled")
    assert session.input_names == ("x",)
    assert session.run({"x": np.ones(3, np.float32)})["y"].tolist() == [2, 2, 2]
    assert open_session(doubled.read_bytes()).run({"x": np.ones(1, np.float32)})["y"] == 2


def test_a_missing_provider_is_an_error_not_a_fallback(doubled):
    with pytest.raises(InputError, match="NoSuchProvider: not in this onnxruntime"):
        open_session(doubled, providers=["NoSuchProvider"])


def test_an_unloadable_model_is_one_line(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"bad\.onnx: not a readable ONNX model") as caught:
        open_session(path)
    assert "\n" not in str(caught.value)


def test_sequences_and_optionals_are_taken_apart(tmp_path):
    floats = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    outputs = [
        helper.make_value_info("s", helper.make_sequence_type_proto(floats)),
        helper.make_value_info("full", helper.make_optional_type_proto(floats)),
        helper.make_value_info("none", helper.make_optional_type_proto(floats)),
    ]
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"], axis=0),
        helper.make_node("Optional", ["x"], ["full"]),
        helper.make_node("Optional", [], ["none"], type=floats),
    ]
    path = write(tmp_path / "m.onnx", nodes, [tensor("x", ["n"])], outputs)
    spec = open_artifact(path).spec
    assert [t.form for t in spec.outputs] == ["sequence", "optional", "optional"]
    assert (spec.role, spec.outputs[0].ranked) == (Role.GENERIC, False)
    found = open_session(path).run({"x": np.array([1, 2], np.float32)})
    assert found.keys() == {"s[0]", "s[1]", "full"}
    np.testing.assert_array_equal(found["s[1]"], [2])


def test_a_refusal_ends_with_its_reason(tmp_path):
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", ["a", "b"])],
        [tensor("y", None)],
        {"w": np.ones((3, 3), np.float32)},
    )
    session = open_session(path)
    with pytest.raises(
        InputError, match=r"\w+\.onnx does not run on x \[2, 4\]: .*mismatch"
    ) as why:
        session.run({"x": np.ones((2, 4), np.float32)})
    assert "ONNXRuntimeError" not in str(why.value)


def test_the_runtime_writes_nothing_itself(tmp_path, capfd):
    nodes = [helper.make_node("Gather", ["x", "i"], ["y"], axis=0)]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [tensor("x", ["n"]), tensor("i", [1], TensorProto.INT64)],
        [tensor("y", [1])],
    )
    with pytest.raises(InputError):
        open_session(path).run({"x": np.ones(2, np.float32), "i": np.array([9])})
    assert capfd.readouterr() == ("", "")
