import onnx_ir as ir
import pytest

from vampnet_models.artifact import open_artifact, save_model
from vampnet_models.errors import InputError
from vampnet_models.graph import GraphBuilder
from vampnet_models.lengths import probe_lengths


@pytest.mark.parametrize("name", ["codec_encoder", "codec_decoder", "coarse", "c2f"])
def test_our_models_take_any_length(small_models, name):
    lengths = probe_lengths(open_artifact(small_models / f"{name}.onnx"), (1, 37))
    assert lengths.is_dynamic
    assert lengths.accepted == (1, 37)
    assert lengths.text() == "any"


def baked(path, frames, declared):
    """A transformer whose length is a constant inside, whatever its interface declares."""
    b = GraphBuilder("baked")
    shape = ["batch", 4, declared]
    codes = b.input("codes", ir.DataType.INT64, shape)
    mask = b.input("mask", ir.DataType.INT64, shape)
    fixed = b.op("Reshape", b.op("Add", codes, mask), b.ints(1, 4, frames))
    b.output(fixed, "tokens", ir.DataType.INT64, shape)
    save_model(b.finish({}), path)
    return open_artifact(path)


def test_a_baked_length_is_found_by_running(tmp_path):
    lengths = probe_lengths(baked(tmp_path / "m.onnx", 100, "frames"))
    assert lengths.accepted == (100,)
    assert lengths.text() == "only 100"


def test_a_declared_length_is_tried_too(tmp_path):
    lengths = probe_lengths(baked(tmp_path / "m.onnx", 64, 64), (1,))
    assert lengths.tried == (1, 64)
    assert lengths.accepted == (64,)


def test_a_model_that_answers_at_no_length_is_an_error(tmp_path):
    with pytest.raises(InputError, match="answers at none of the lengths"):
        probe_lengths(baked(tmp_path / "m.onnx", 55, "frames"), (1, 2))


def test_models_without_a_time_axis_are_not_probed(tmp_path):
    b = GraphBuilder("generic")
    x = b.input("x", ir.DataType.FLOAT, ["n", 3])
    b.output(b.op("Relu", x), "y", ir.DataType.FLOAT, ["n", 3])
    save_model(b.finish({}), tmp_path / "m.onnx")
    assert probe_lengths(open_artifact(tmp_path / "m.onnx")) is None
