import pytest

from vampnet_models.artifact import open_artifact
from vampnet_models.spec import Role, TensorSpec, recognise


def spec(name, dtype, *shape):
    return TensorSpec(name, dtype, shape)


@pytest.mark.parametrize(
    ("inputs", "outputs", "role"),
    [
        ([spec("x", "float32", "b", 1, "n")], [spec("y", "int64", "b", 14, "t")], "codec-encoder"),
        ([spec("x", "float16", "b", 1, "n")], [spec("y", "int64", "b", 14, "t")], "codec-encoder"),
        ([spec("c", "int64", "b", 14, "t")], [spec("a", "float32", "b", 1, "n")], "codec-decoder"),
        (
            [spec("codes", "int64", "b", 4, "t"), spec("mask", "bool", "b", 4, "t")],
            [spec("output", "int64", "b", 4, "t")],
            "coarse",
        ),
        (
            [spec("mask", "int64", "b", 14, "t"), spec("codes", "int64", "b", 14, "t")],
            [spec("logits", "float32", "b", 10, "t", 1024)],
            "c2f",
        ),
        ([spec("x", "float32", "b", 3, 224, 224)], [spec("y", "float32", "b", 1000)], "generic"),
        ([spec("x", "float32", "b", 1, "n")], [spec("y", "float32", "b", 1, "n")], "generic"),
        ([], [spec("y", "float32", 1)], "generic"),
    ],
)
def test_roles_are_recognised_by_interface(inputs, outputs, role):
    assert recognise(tuple(inputs), tuple(outputs)) is Role(role)


def test_the_small_models_have_their_roles_and_dynamic_shapes(small_models):
    found = {p.stem: open_artifact(p).spec for p in small_models.glob("*.onnx")}
    assert {stem: s.role.value for stem, s in found.items()} == {
        "codec_encoder": "codec-encoder",
        "codec_decoder": "codec-decoder",
        "coarse": "coarse",
        "c2f": "c2f",
    }
    assert found["codec_encoder"].input("audio").shape == ("batch", 1, "samples")
    assert found["c2f"].output("logits").shape == ("batch", 10, "frames", 1024)
    assert found["coarse"].output("tokens").dtype == "int64"
    with pytest.raises(KeyError):
        found["coarse"].input("audio")
