import numpy as np
import onnx_ir as ir
import pytest

from vampnet_models.artifact import save_model
from vampnet_models.errors import InputError
from vampnet_models.graph import GraphBuilder
from vampnet_models.session import open_session


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
