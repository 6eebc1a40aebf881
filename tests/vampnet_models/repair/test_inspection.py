import numpy as np
import onnx_ir as ir
import pytest

from vampnet_models.architectures.graph_writer import GraphBuilder
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.repair.inspection import inspect_model


def kinds(path):
    return {problem.kind for problem in inspect_model(path).problems}


def test_facts_of_a_known_model(small_models):
    found = inspect_model(small_models / "coarse.onnx")
    assert found.role == "coarse"
    assert found.opset == 21
    assert found.weights == "seeded"
    assert found.operators["Softmax"] == 4
    assert found.dtypes["float"] > 2_000_000
    assert found.n_parameters == sum(found.dtypes.values())
    assert kinds(small_models / "coarse.onnx") == {"seeded-weights"}


def linear(path, values, length="n"):
    b = GraphBuilder("m")
    x = b.input("codes", ir.DataType.FLOAT, ["b", length, values.shape[0]])
    w = b.weight("w", values.shape, lambda: values)
    b.output(b.op("MatMul", x, w), "y", ir.DataType.FLOAT, ["b", length, values.shape[1]])
    save_model(b.finish({}), path)
    return path


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_freshly_initialised_weights_are_suspected(tmp_path, kind):
    rng = np.random.default_rng(0)
    bound = 1 / np.sqrt(128)
    fresh = {
        "normal": rng.standard_normal((128, 256)),
        "uniform": rng.uniform(-bound, bound, (128, 256)),
    }[kind].astype(np.float32)
    path = linear(tmp_path / "m.onnx", fresh)
    assert "random-looking-weights" in kinds(path)
    trained = fresh * np.exp(0.3 * rng.standard_normal((1, 256))).astype(np.float32)
    assert "random-looking-weights" not in kinds(linear(tmp_path / "t.onnx", trained))


@pytest.mark.parametrize(("n_fresh", "said"), [(1, False), (2, True)])
def test_a_single_weight_of_many_is_no_evidence(tmp_path, n_fresh, said):
    rng = np.random.default_rng(0)
    b = GraphBuilder("m")
    y = b.input("codes", ir.DataType.FLOAT, ["b", "n", 128])
    for i in range(12):
        values = rng.standard_normal((128, 128)).astype(np.float32)
        if i >= n_fresh:
            values *= np.exp(0.3 * rng.standard_normal((1, 128))).astype(np.float32)
        y = b.op("MatMul", y, b.weight(f"w{i}", values.shape, lambda v=values: v))
    b.output(y, "y", ir.DataType.FLOAT, ["b", "n", 128])
    save_model(b.finish({}), tmp_path / "m.onnx")
    assert ("random-looking-weights" in kinds(tmp_path / "m.onnx")) == said


def test_the_reference_models_have_no_problems(tmp_path):
    for path in builtin_models(tmp_path).glob("*.onnx"):
        assert kinds(path) == set(), path.name


def test_a_fixed_length_and_an_unknown_role_are_named(tmp_path):
    path = linear(tmp_path / "m.onnx", np.ones((8, 4), np.float32), length=5)
    assert {"unknown-role", "fixed-length"} <= kinds(path)


def test_too_new_versions_are_named(tmp_path):
    b = GraphBuilder("m")
    x = b.input("x", ir.DataType.FLOAT, ["n"])
    b.output(b.op("Relu", x), "y", ir.DataType.FLOAT, ["n"])
    model = b.finish({})
    model.graph.opset_imports[""] = 28
    save_model(model, tmp_path / "m.onnx")
    assert "too-new" in kinds(tmp_path / "m.onnx")
