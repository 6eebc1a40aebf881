import json

import numpy as np
import pytest

from optimize.build import build_variant
from optimize.recipes import find_recipe
from profiles.count.coverage import coverage
from profiles.count.examine import examine
from profiles.count.runtimes import supports
from profiles.targets import qnn
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session


def test_make_static_keeps_the_tokens(vampbench, tiny, tmp_path):
    out = tmp_path / "coarse.onnx"
    done = vampbench("make-static", tiny / "coarse.onnx", "--frames", "20", "-o", out, "--json")
    assert done.code == 0
    assert done.result["inputs"] == {"codes": [1, 4, 20], "mask": [1, 4, 20]}
    rng = np.random.default_rng(0)
    feeds = {
        "codes": rng.integers(0, 1024, (1, 4, 20)),
        "mask": rng.integers(0, 2, (1, 4, 20)),
    }
    ours, theirs = open_session(tiny / "coarse.onnx").run(feeds), open_session(out).run(feeds)
    np.testing.assert_array_equal(ours["tokens"], theirs["tokens"])


def test_an_npu_variant_is_made_and_named(vampbench, tiny, tmp_path):
    out = tmp_path / "encoder.onnx"
    done = vampbench("npu", tiny / "codec_encoder.onnx", "--precision", "fp16", "-o", out)
    assert done.code == 0
    record = json.loads((tmp_path / "encoder.variant.json").read_text())
    assert record["recipe"] == "npu-fp16"
    assert record["fusions"]["sum_of_squares"] == 14


@pytest.mark.parametrize("made", [("fuse",), ("weights",)])
def test_a_converted_model_is_refused_by_name(vampbench, tiny, tmp_path, made):
    variant, out = tmp_path / "made.onnx", tmp_path / "npu.onnx"
    assert vampbench(*made, tiny / "coarse.onnx", "-o", variant).code == 0
    recorded = vampbench("npu", variant, "-o", out)
    (tmp_path / "made.variant.json").unlink()
    unrecorded = vampbench("npu", variant, "-o", out)
    for done, source in ((recorded, "coarse.onnx"), (unrecorded, "its FP32 source")):
        assert (done.code, len(done.lines)) == (2, 1)
        assert (
            f"already, and this recipe takes a model as it was exported; convert {source}"
            in (done.lines[0])
        )
    assert not out.exists()


@pytest.mark.skipif(qnn.unavailable() is None, reason="the extra qnn is installed")
def test_qnn_without_the_extra_says_what_to_install(vampbench, tiny):
    done = vampbench("qnn", tiny / "coarse.onnx")
    assert done.code == 2
    assert 'not measured: pip install "vampnet-workbench[qnn]"' in done.stderr


@pytest.mark.skipif(qnn.unavailable() is not None, reason="the extra qnn is not installed")
def test_qnn_compiles_and_compares_tokens(vampbench, tiny, tmp_path):
    out = tmp_path / "qnn.json"
    source = tiny / "coarse.onnx"
    done = vampbench("qnn", source, "--frames", "16", "--states", "2", "-o", out)
    assert done.code == 0
    (record,) = json.loads(out.read_text())["variants"].values()
    assert record["supported"] == record["nodes"] > 50
    assert record["emulated"]["to_variant"] > 0.8


@pytest.mark.parametrize("name", ["npu-fp16", "coreml-fp16"])
def test_phone_recipes_keep_to_onnx_and_coreml_takes_all_their_arithmetic(tiny, tmp_path, name):
    source = open_artifact(tiny / "coarse.onnx")
    made = build_variant(source, find_recipe(name), tmp_path / "coarse.onnx")
    shapes = {"codes": (1, 4, 20), "mask": (1, 4, 20)}
    examined = examine(made.path, shapes)
    assert {node.domain for node in examined.model.graph} == {""}
    found = coverage(examined, "coreml-mlprogram", supports("coreml-mlprogram"))
    assert found.flops_share > 0.999
