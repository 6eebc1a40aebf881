import numpy as np
import onnx_ir as ir
import pytest

from tests.vampnet_models.others import baked, constant, foreign
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.repair.baked import accepted_lengths


def accepted(path):
    artifact = open_artifact(path)
    return accepted_lengths(path, artifact.spec, open_session(path))


def test_a_dynamic_model_of_another_exporter_takes_any_length(small_models, tmp_path):
    for name in ("coarse", "codec_encoder", "codec_decoder"):
        save_model(foreign(small_models / f"{name}.onnx"), tmp_path / f"{name}.onnx")
        assert not accepted(tmp_path / f"{name}.onnx").restricted


@pytest.mark.parametrize("frames", [37, 61, 80])
def test_a_length_baked_behind_a_dynamic_declaration_is_found(small_models, tmp_path, frames):
    path = baked(small_models / "coarse.onnx", tmp_path / "b.onnx", frames, declared=False)
    found = accepted(path)
    assert (found.fixed, found.declared, found.at_most) == (frames, False, False)
    assert f"{frames} is baked in" in found.describe()
    assert found.applied(open_artifact(path).spec).input("mask").shape == (1, 4, frames)


def test_the_samples_of_an_encoder_that_reshapes_to_a_length_are_found(small_models, tmp_path):
    model = foreign(small_models / "codec_encoder.onnx")
    conv = next(n for n in model.graph if n.name == "quantizer.quantizers.0.in_proj/Conv")
    latent = conv.inputs[0]
    shape = constant(model.graph, "baked", np.array([1, latent.shape[1], 80], np.int64))
    fixed = ir.Node("", "Reshape", [latent, shape], name="fixed")
    fixed.outputs[0].name = "fixed"
    for node, index in list(latent.uses()):
        if node is not fixed:
            node.replace_input_with(index, fixed.outputs[0])
    model.graph.insert_before(conv, fixed)
    save_model(model, tmp_path / "encoder.onnx")
    found = accepted(tmp_path / "encoder.onnx")
    assert (found.fixed, found.usable) == (80 * 768, True)
    assert "Reshape fixed does not fit" in found.describe()
