import json
import platform
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from profiles.bundle.make import write_bundle
from profiles.bundle.ort_format import CONFIG, config_text, in_ort_format
from profiles.targets.android import ANDROID
from tests.profiles import graphs
from tests.profiles.bundle.test_make import part, selfcheck
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session


def test_an_ort_file_loads_and_answers_as_the_model(tmp_path):
    path = graphs.save(graphs.qdq_conv(), tmp_path / "conv.onnx")
    shipped = in_ort_format(open_artifact(path), tmp_path)
    assert shipped.path is not None and shipped.path.suffix == ".ort"
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 8, 50), np.float32)}
    ours, theirs = (open_session(p).run(feeds)["y"] for p in (shipped.path, path))
    np.testing.assert_array_equal(ours, theirs)
    assert "QLinearConv" in shipped.operators["com.microsoft;1"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have FP16 kernels")
def test_a_model_whose_weights_would_unfold_stays_as_it_is(tmp_path):
    half = TensorProto.FLOAT16
    proto = graphs.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        [("x", half, ["rows", 256])],
        [("y", half, ["rows", 256])],
        {"w": np.ones((256, 256), np.float16)},
    )
    artifact = open_artifact(graphs.save(proto, tmp_path / "half.onnx"))
    shipped = in_ort_format(artifact, tmp_path)
    assert shipped.path is None and shipped.reason is not None
    assert "no float16 kernels" in shipped.reason
    assert "MatMul" in shipped.operators["ai.onnx;21"], "the graph's own operators"
    assert "Cast" in {op for ops in shipped.operators.values() for op in ops}, "the optimizer's"


def test_the_operators_of_all_models_stand_in_one_configuration():
    text = config_text([{"ai.onnx;21": ("Mul", "Add")}, {"ai.onnx;21": ("Add",), "x;1": ("Y",)}])
    assert text.splitlines()[1:] == ["ai.onnx;21;Add,Mul", "x;1;Y"]


def test_a_bundle_of_ort_files_checks_itself_until_a_byte_changes(tmp_path):
    given = part(tmp_path)
    shipped = in_ort_format(given.artifact, tmp_path)
    out = tmp_path / "bundle"
    manifest = write_bundle(
        [replace(given, shipped=shipped)],
        out,
        target=ANDROID,
        weights="x",
    )
    (entry,) = manifest.models
    model = out / "models" / "coarse.ort"
    assert (entry.file, entry.bytes) == ("models/coarse.ort", model.stat().st_size)
    assert (entry.format, entry.ort_bytes, entry.ort_reason) == ("ort", entry.bytes, None)
    assert manifest.packaging.bytes == entry.bytes
    assert manifest.packaging.zipped_bytes > 0
    assert all(store.fits for store in manifest.packaging.stores)
    assert {f.name for f in manifest.files} >= {CONFIG, "models/coarse.ort"}
    assert "Cast" in (out / CONFIG).read_text() and "Mul" in (out / CONFIG).read_text()
    code, found = selfcheck(out)
    assert code == 0 and found["models"][0]["to_maker"] == 1.0
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(bytes(content))
    code, found = selfcheck(out)
    assert code == 1 and "models/coarse.ort: changed" in json.dumps(found["problems"])
