"""What a model's metadata ask of sessions, read without its graph."""

import onnx
import pytest
from onnx import TensorProto, helper

from vampnet_models.onnxfile import exact
from vampnet_models.onnxfile.exact import EXACT_KEY, is_exact


def model(**metadata):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value], [other])
    made = helper.make_model(graph)
    helper.set_model_props(made, metadata)
    return made


@pytest.mark.parametrize(
    ("metadata", "asked"),
    [({}, False), ({"other": EXACT_KEY}, False), ({"a": "b", EXACT_KEY: "1"}, True)],
)
def test_the_key_alone_asks(metadata, asked, tmp_path):
    made = model(**metadata)
    path = tmp_path / "m.onnx"
    onnx.save(made, path)
    assert is_exact(path) == asked
    assert is_exact(made.SerializeToString()) == asked


def test_what_is_no_model_asks_for_nothing(tmp_path):
    path = tmp_path / "m.onnx"
    assert not is_exact(path)
    path.write_bytes(b"")
    assert not is_exact(path)
    path.write_bytes(model(**{EXACT_KEY: "1"}).SerializeToString()[:-3])
    assert not is_exact(path)
    assert not is_exact(b"\xff" * 40)


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("flags : fpu avx2 avx512f", True),
        ("flags : fpu avx2 avx_vnni", False),
        ("flags : fpu avx512f avx512_vnni", False),
        (None, True),
    ],
)
def test_a_processor_with_vnni_is_not_asked(told, asked, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    if told is not None:
        path.write_text(told)
    monkeypatch.setattr(exact, "_CPUINFO", path)
    assert bool(exact.exact_session()) == asked
