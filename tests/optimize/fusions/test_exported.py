"""The fusions on graphs that PyTorch's exporters made of eager models of full depth."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnxscript.version_converter import ConvertVersionPass

from optimize.fusions.order import Form, Fusion, finished, fuse
from optimize.recipes import find_recipe
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.onnxfile.session import open_session

FIXTURES = Path(__file__).parents[2] / "fixtures" / "exported"
EXPORTERS = ("classic", "dynamo")

EXPECTED = {
    "coarse": {
        "lora": 100,
        "rms_norm": 41,
        "gated_gelu": 20,
        "relative_attention": 20,
        "qkv_packing": 20,
        "pointwise_conv": 2,
    },
    "c2f": {
        "lora": 80,
        "rms_norm": 33,
        "gated_gelu": 16,
        "relative_attention": 16,
        "qkv_packing": 16,
        "pointwise_conv": 1,
    },
    "encoder": {"snake": 29},
    "decoder": {"snake": 115, "conv_transpose": 6, "codebook_lookup": 1},
}
CASES = [(name, exporter) for name in EXPECTED for exporter in EXPORTERS]


def unpacked(name: str, exporter: str, folder: Path) -> Path:
    path = folder / f"{name}_{exporter}.onnx"
    path.write_bytes(gzip.decompress((FIXTURES / f"{path.name}.gz").read_bytes()))
    return path


def fused(path: Path, rules=Form.MIXTURE.rules) -> tuple[Path, ir.Model, Fusion]:
    model = load_model(path)
    if model.opset_imports[""] < 21:
        ConvertVersionPass(21, fallback=True)(model)
    found = fuse(model, rules)
    out = path.with_name(f"fused_{path.name}")
    save_model(model, out)
    return out, model, found


def feeds(name: str, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(length)
    if name == "encoder":
        return {"audio": 0.3 * rng.standard_normal((2, 1, 768 * length)).astype(np.float32)}
    n = {"coarse": 4, "c2f": 14, "decoder": 3}[name]
    codes = rng.integers(0, 32, (2, n, length))
    if name == "decoder":
        return {"codes": codes}
    return {"codes": codes, "mask": rng.integers(0, 2, (2, n, length))}


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_every_part_is_matched_and_the_answers_stay(
    name: str, exporter: str, tmp_path: Path
) -> None:
    source = unpacked(name, exporter, tmp_path)
    form = Form.DYNAMIC if name == "decoder" else Form.MIXTURE
    out, _, found = fused(source, form.rules)
    counts = {rule: count for rule, count in found.counts.items() if count}
    assert counts == EXPECTED[name]
    missed = [u for u in found.unmatched if u.rule in EXPECTED[name]]
    assert [u.node for u in missed if u.rule != "pointwise_conv"] == []
    before, after = (open_session(path, threads=1) for path in (source, out))
    for length in (3, 17):
        fed = feeds(name, length)
        expected, got = before.run(fed), after.run(fed)
        for output, values in expected.items():
            assert got[output].shape == values.shape
            if np.issubdtype(values.dtype, np.integer):
                assert (got[output] == values).all()
            else:
                np.testing.assert_allclose(got[output], values, rtol=0, atol=1e-4)
                tokens = values.argmax(axis=1)
                assert name == "decoder" or (got[output].argmax(axis=1) == tokens).all()


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(("name", "layers"), [("coarse", 20), ("c2f", 16)])
def test_the_position_bias_is_computed_once(
    name: str, layers: int, exporter: str, tmp_path: Path
) -> None:
    _, model, _ = fused(unpacked(name, exporter, tmp_path), Form.FLOAT.rules)
    attentions = [node for node in model.graph if node.op_type == "MultiHeadAttention"]
    assert len(attentions) == layers
    assert len({node.inputs[5].name for node in attentions}) == 1
    ops = Counter(node.op_type for node in model.graph)
    assert ops["Log"] == 1 and ops["Einsum"] == 0 and ops["Softmax"] == 0


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(("name", "layers"), [("coarse", 20), ("c2f", 16)])
def test_the_form_for_the_cpu_has_onnx_attention_and_no_split(
    name: str, layers: int, exporter: str, tmp_path: Path
) -> None:
    source = unpacked(name, exporter, tmp_path)
    model = load_model(source)
    ConvertVersionPass(find_recipe("fused").opset, fallback=True)(model)
    model.ir_version = 11
    # The classic exporter cuts the halves of the gated unit with Slices at computed places.
    halves = {"classic": 0, "dynamo": layers}
    assert fuse(model, find_recipe("fused").form.rules).counts["split_products"] == halves[exporter]
    assert finished(model, find_recipe("fused").form.finish).counts == {
        "portable_attention": layers
    }
    ops = Counter(node.op_type for node in model.graph)
    assert ops["Attention"] == layers and ops["MultiHeadAttention"] == ops["Split"] == 0
    save_model(model, tmp_path / "cpu.onnx")
    before, after = (open_session(path, threads=1) for path in (source, tmp_path / "cpu.onnx"))
    for length in (1, 3, 100):
        expected, got = before.run(feeds(name, length)), after.run(feeds(name, length))
        for output, values in expected.items():
            np.testing.assert_allclose(got[output], values, rtol=0, atol=1e-4)
            assert (got[output].argmax(axis=1) == values.argmax(axis=1)).all()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_low_rank_update_read_elsewhere_stays(exporter: str, tmp_path: Path) -> None:
    model = load_model(unpacked("coarse", exporter, tmp_path))
    weights = {n.inputs[1].name for n in model.graph if n.op_type == "MatMul" and n.inputs[1]}
    base = next(n for n in model.graph if n.op_type == "MatMul" and n.inputs[1].name in weights)
    model.graph.outputs.append(base.outputs[0])
    if model.opset_imports[""] < 21:
        ConvertVersionPass(21, fallback=True)(model)
    found = fuse(model, Form.FLOAT.rules)
    assert found.counts["lora"] in (99, 100)
    reasons = [u.reason for u in found.unmatched if u.rule == "lora"]
    assert len(reasons) == 100 - found.counts["lora"]
