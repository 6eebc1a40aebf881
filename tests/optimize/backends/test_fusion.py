"""Other tools' fusions, in processes of their own, on a graph that torch's exporter made."""

import gzip
import sys
from pathlib import Path

import pytest

from bench.fusion import compared
from optimize.backends.fusion import fused_recipe, run_tool
from optimize.build import build_variant
from tests.optimize.graphs import model
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model

FIXTURES = Path(__file__).parents[2] / "fixtures" / "exported"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "coarse.onnx"
    path.write_bytes(gzip.decompress((FIXTURES / "coarse_dynamo.onnx.gz").read_bytes()))
    return path


def test_onnxruntimes_rules_fuse_norms_and_gelus_and_no_attention(
    exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fused.onnx"
    made = build_variant(open_artifact(exported), fused_recipe("onnxruntime"), out)
    assert made.record.recipe == "fused-onnxruntime"
    assert made.record.fusions == {
        "FastGelu": 20,
        "SimplifiedLayerNormalization": 1,
        "SkipSimplifiedLayerNormalization": 40,
    }
    assert [each.rule for each in made.record.unmatched] == ["attention"] * 20
    assert sum(node.op_type == "Softmax" for node in load_model(out).graph) == 20
    found = compared(exported, out)
    assert found["largest_difference"] < 1e-2
    assert list(tmp_path.glob("*")) == sorted(tmp_path.glob("fused*"))


def test_a_tool_that_fails_is_told_with_its_reason_and_place(tmp_path: Path) -> None:
    save_model(model("(float[n] x) => (float[n] y) { y = Relu(x) }"), tmp_path / "one.onnx")
    with pytest.raises(PromiseMissed, match=r"one\.onnx: no-such-tool failed: KeyError.*line \d+"):
        run_tool("no-such-tool", Path(sys.executable), tmp_path / "one.onnx", tmp_path / "out.onnx")
