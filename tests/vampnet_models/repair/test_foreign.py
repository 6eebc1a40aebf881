import pytest

from tests.vampnet_models.others import FIXTURES, split_form
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.repair.inspection import inspect_model
from vampnet_models.spec import Part, TensorSpec, part_of


def problems(path):
    return {problem.kind: problem.text for problem in inspect_model(path).problems}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("tokens_classic", {"fixed-length", "no-logits"}),
        ("logits_1025_dynamo", {"fixed-length", "mask-class"}),
        ("logits_flat_relative", {"baked-length", "axis-name"}),
    ],
)
def test_each_export_is_told_what_is_wrong_with_it(name, kinds):
    found = problems(FIXTURES / f"{name}.onnx")
    assert kinds | {"other-architecture", "random-looking-weights"} <= set(found)
    length = found.get("fixed-length") or found["baked-length"]
    assert "100" in length
    assert "vampbench make-dynamic" in length
    assert "4 embedding tables of 1025 x 4" in found["other-architecture"]
    for table in ("tables.0.weight", "tables.1.weight"):
        assert table in found["random-looking-weights"]


def test_the_pieces_of_the_split_form_are_told_apart(small_models, tmp_path):
    split_form(small_models, tmp_path)
    found = {p.stem: open_artifact(p).spec.part for p in tmp_path.glob("*.onnx")}
    assert found == {
        "lac_encoder": Part.ENCODER,
        "lac_quantizer": Part.QUANTIZER,
        "lac_from_codes": Part.FROM_CODES,
        "lac_decoder": Part.DECODER,
        "coarse_embeddings": Part.COARSE_EMBEDDINGS,
        "coarse_transformer": Part.COARSE_TRANSFORMER,
    }
    inspection = inspect_model(tmp_path / "coarse_embeddings.onnx")
    assert inspection.part == "coarse embeddings (codes to latents)"
    texts = problems(tmp_path / "coarse_transformer.onnx")
    assert "one piece of a model: coarse transformer" in texts["split-form"]
    assert "declared `time`" in texts["axis-name"]


@pytest.mark.parametrize("beside", ["Cos", "CumSum"])
def test_a_vocoder_with_phases_is_no_piece_of_the_codec(beside):
    audio = (TensorSpec("x", "float32", ("n", 1, "t")),)
    latents = (TensorSpec("z", "float32", ("n", 80, "t")),)
    decoder, encoder = frozenset({"Sin", "Conv", "ConvTranspose"}), frozenset({"Sin", "Conv"})
    assert part_of(latents, audio, decoder) is Part.DECODER
    assert part_of(audio, latents, encoder) is Part.ENCODER
    assert part_of(latents, audio, decoder | {beside}) is None
    assert part_of(audio, latents, encoder | {beside}) is None


def test_our_own_models_have_none_of_these_problems(small_models):
    for path in small_models.glob("*.onnx"):
        assert set(problems(path)) == {"seeded-weights"}
