import onnx_ir as ir
import pytest

from vampnet_models.onnxfile.artifact import load_model, open_artifact
from vampnet_models.spec import Role, TensorSpec, recognise, spec_of


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
        (
            [
                spec("tokens", "int64", 1, 4, 100),
                spec("hidden", "bool", 1, 4, 100),
                spec("temperature", "float32"),
            ],
            [spec("output", "int64", 1, 4, 100)],
            "coarse",
        ),
        (
            [spec("codes", "int64", "b", 5, "t"), spec("mask", "bool", "b", 5, "t")],
            [spec("output", "int64", "b", 5, "t")],
            "generic",
        ),
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


def test_the_codebooks_of_an_undeclared_axis_are_read_off_the_graph(small_models):
    model = load_model(small_models / "coarse.onnx")
    for value in model.graph.inputs:
        value.shape = ir.Shape(["batch", "books", "time"])
    found = spec_of(model)
    assert found.role is Role.COARSE
    assert found.input("codes").shape == ("batch", 4, "time")
