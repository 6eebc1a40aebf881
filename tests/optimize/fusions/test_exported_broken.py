"""Exported graphs in other forms: almost a fusion, other operators, a fixed length."""

import gzip
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnxscript.version_converter import ConvertVersionPass

from optimize.fusions.order import Form, Fusion, finished, fuse
from optimize.surgery.graph import add_constant, insert, scalar
from tests.optimize.graphs import ops
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.onnxfile.session import open_session

FIXTURES = Path(__file__).parents[2] / "fixtures" / "exported"


def exported(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(gzip.decompress((FIXTURES / f"{name}.onnx.gz").read_bytes()))
    return path


def nth(model: ir.Model, op_type: str, index: int) -> ir.Node:
    return [node for node in model.graph if node.op_type == op_type][index]


def reader(node: ir.Node) -> ir.Node:
    (found,) = node.outputs[0].consumers()
    return found


def root_before_epsilon(model: ir.Model, index: int) -> str:
    """`x / (sqrt(mean) + eps)` in place of `x / sqrt(mean + eps)`; the mean's name."""
    mean = nth(model, "ReduceMean", index)
    add = reader(mean)
    root = reader(add)
    after = reader(root)
    add.replace_input_with(list(add.inputs).index(mean.outputs[0]), root.outputs[0])
    root.replace_input_with(0, mean.outputs[0])
    after.replace_input_with(list(after.inputs).index(root.outputs[0]), add.outputs[0])
    model.graph.sort()
    return mean.name or ""


def mask_keys(model: ir.Model, index: int) -> str:
    """A second sum before the softmax; the softmax's name."""
    softmax = nth(model, "Softmax", index)
    mask = add_constant(model.graph, "keys_masked", np.float32([-1]))
    (masked,) = insert(softmax, "Add", [softmax.inputs[0], mask], name="masked")
    softmax.replace_input_with(0, masked)
    return softmax.name or ""


def bend_gelu(model: ir.Model, index: int) -> str:
    """Another number in place of 0.5 behind the tanh; the tanh's name."""
    tanh = nth(model, "Tanh", index)
    other = add_constant(model.graph, "bent", np.float32(1.125))
    add = reader(tanh)
    one = next(i for i, value in enumerate(add.inputs) if scalar(value) == 1.0)
    add.replace_input_with(one, other)
    return tanh.name or ""


def fused(path: Path, out: Path) -> tuple[ir.Model, Fusion]:
    model = load_model(path)
    found = fuse(model)
    save_model(model, out)
    return model, found


def test_a_broken_norm_attention_and_gelu_are_named_and_keep_their_values(tmp_path: Path) -> None:
    model = load_model(exported("c2f_dynamo", tmp_path))
    ConvertVersionPass(21, fallback=True)(model)
    fuse(model, ())
    broken = {
        "rms_norm": root_before_epsilon(model, 4),
        "relative_attention": mask_keys(model, 5),
        "gated_gelu": bend_gelu(model, 6),
    }
    source, out = tmp_path / "broken.onnx", tmp_path / "fused.onnx"
    save_model(model, source)
    _, found = fused(source, out)
    counts = {rule: found.counts[rule] for rule in broken}
    assert counts == {"rms_norm": 32, "relative_attention": 15, "gated_gelu": 15}
    named = {each.rule: each for each in found.unmatched if each.rule in broken}
    assert {rule: each.node for rule, each in named.items()} == broken
    assert "is Sqrt where Add was expected" in named["rms_norm"].reason
    assert "product of query" in named["relative_attention"].reason
    assert "not the rest of a GELU" in named["gated_gelu"].reason
    rng = np.random.default_rng(0)
    feeds = {"codes": rng.integers(0, 32, (1, 14, 9)), "mask": rng.integers(0, 2, (1, 14, 9))}
    (expected,), (got,) = (open_session(path).run(feeds).values() for path in (source, out))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_the_portable_form_has_standard_attention_alone(tmp_path: Path) -> None:
    source = exported("c2f_dynamo", tmp_path)
    model = load_model(source)
    ConvertVersionPass(23, fallback=True)(model)
    fuse(model)
    found = finished(model, Form.CPU.finish)
    assert found.counts["portable_attention"] == ops(model)["Attention"] == 16
    assert {node.domain for node in model.graph} == {""}
    out = tmp_path / "portable.onnx"
    save_model(model, out)
    before, after = open_session(source), open_session(out)
    rng = np.random.default_rng(1)
    for length in (3, 17):
        codes = rng.integers(0, 32, (2, 14, length))
        feeds = {"codes": codes, "mask": rng.integers(0, 2, codes.shape)}
        (expected,), (got,) = before.run(feeds).values(), after.run(feeds).values()
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
        assert (got.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_the_position_bias_is_constant_where_the_length_is_fixed(tmp_path: Path) -> None:
    source = exported("c2f_dynamo", tmp_path)
    model = load_model(source)
    for value in model.graph.inputs:
        value.shape = ir.Shape([1, 14, 24])
    ConvertVersionPass(21, fallback=True)(model)
    fuse(model)
    biases = {node.inputs[5] for node in model.graph if node.op_type == "MultiHeadAttention"}
    (bias,) = biases
    assert bias is not None and bias.is_initializer()
    assert not {"Shape", "Range", "Log", "Min"} & set(ops(model))
    out = tmp_path / "fixed.onnx"
    save_model(model, out)
    rng = np.random.default_rng(2)
    feeds = {"codes": rng.integers(0, 32, (1, 14, 24)), "mask": rng.integers(0, 2, (1, 14, 24))}
    (expected,), (got,) = (open_session(path).run(feeds).values() for path in (source, out))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
