from pathlib import Path

import numpy as np
import pytest

from optimize.fusions.order import Form, fuse
from tests.optimize.graphs import ops
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.onnxfile.session import Feeds, open_session

N_CODEBOOKS = {"coarse": 4, "c2f": 14}


def feeds_of(name: str, frames: int) -> Feeds:
    """Two clips of so many frames."""
    rng = np.random.default_rng(frames)
    if name == "codec_encoder":
        return {"audio": 0.1 * rng.standard_normal((2, 1, 768 * frames - 5), np.float32)}
    codes = rng.integers(0, 1024, (2, N_CODEBOOKS.get(name, 14), frames))
    if name == "codec_decoder":
        return {"codes": codes}
    return {"codes": codes, "mask": rng.integers(0, 2, codes.shape)}


@pytest.mark.parametrize("name", ["codec_encoder", "codec_decoder", "coarse", "c2f"])
@pytest.mark.parametrize("form", [Form.FLOAT, Form.MIXTURE, Form.DYNAMIC, Form.WEIGHTS])
def test_fused_models_give_the_same_tokens_at_any_length(
    name: str, form: Form, small_models: Path, tmp_path: Path
) -> None:
    model = load_model(small_models / f"{name}.onnx")
    before = ops(model)
    found = fuse(model, form.rules)
    after = ops(model)
    assert found.counts["snake"] == before["Sin"] == after["Sin"]
    assert found.counts["relative_attention"] == before["Softmax"]
    assert found.counts["rms_norm"] == before["ReduceMean"]
    assert after["Softmax"] == after["ReduceMean"] == 0
    assert {each.rule for each in found.unmatched} <= {"pointwise_conv", "codebook_lookup"}
    save_model(model, tmp_path / "fused.onnx")
    reference = open_session(small_models / f"{name}.onnx")
    fused = open_session(tmp_path / "fused.onnx")
    for frames in (9, 31):
        feeds = feeds_of(name, frames)
        expected, got = reference.run(feeds), fused.run(feeds)
        for output, values in expected.items():
            if values.dtype == np.int64:
                np.testing.assert_array_equal(got[output], values)
            else:
                np.testing.assert_allclose(got[output], values, atol=1e-4)


def test_a_transformer_shares_one_bias_and_has_no_conv(small_models: Path) -> None:
    model = load_model(small_models / "coarse.onnx")
    found = fuse(model)
    assert found.counts["pointwise_conv"] == 2
    after = ops(model)
    assert after["Conv"] == 0
    biases = {node.inputs[5] for node in model.graph if node.op_type == "MultiHeadAttention"}
    assert len(biases) == 1


def test_the_decoder_loses_its_transposed_convolutions(small_models: Path) -> None:
    model = load_model(small_models / "codec_decoder.onnx")
    n_before = ops(model)["ConvTranspose"]
    assert fuse(model, Form.DYNAMIC.rules).counts["conv_transpose"] == n_before == 6
    assert ops(model)["ConvTranspose"] == 0


def test_nodes_of_one_name_are_told_apart(small_models: Path, tmp_path: Path) -> None:
    model = load_model(small_models / "coarse.onnx")
    for node in model.graph:
        node.name = "node"
    assert fuse(model, Form.MIXTURE.rules).counts["qkv_packing"] == 4
    save_model(model, tmp_path / "fused.onnx")
    assert open_session(tmp_path / "fused.onnx").output_names == ("logits", "tokens")


def test_fusing_twice_changes_nothing(small_models: Path) -> None:
    model = load_model(small_models / "coarse.onnx")
    fuse(model)
    once = ops(model)
    again = fuse(model)
    assert ops(model) == once
    assert not any(again.counts.values())
