from pathlib import Path

import numpy as np
import pytest

from optimize.build import build_variant
from optimize.recipes import find_recipe
from tests.optimize.graphs import model, normal
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.repair.inspection import inspect_model
from vampnet_models.repair.training_mode import training_nodes

TEXT = """(float[b, 8] x) => (float[b, 8] y) { h = MatMul(x, w) d = Dropout(h, r, t)
 y = MatMul(d, w) }"""


@pytest.mark.parametrize(("ratio", "training"), [(0.5, False), (0.0, True)])
def test_dropout_that_drops_nothing_is_no_problem(ratio: float, training: bool) -> None:
    made = model(TEXT, w=normal(8, 8), r=np.float32(ratio), t=np.array(training))
    assert training_nodes(made) == []


def test_a_training_export_is_named_by_inspect_and_by_conversions(tmp_path: Path) -> None:
    path = tmp_path / "trained.onnx"
    save_model(model(TEXT, w=normal(8, 8), r=np.float32(0.5), t=np.array(True)), path)
    problems = {p.kind: p.text for p in inspect_model(path).problems}
    assert "export it after eval()" in problems["training-mode"]
    variant = build_variant(open_artifact(path), find_recipe("fused"), tmp_path / "fused.onnx")
    assert any("training mode: 1 nodes" in line for line in variant.record.warnings)


def test_a_batch_norm_in_training_counts_too() -> None:
    made = model(
        """(float[b, 4, t] x) => (float[b, 4, t] y) {
         y, m, v = BatchNormalization<training_mode = 1>(x, s, s, s, s) }""",
        s=normal(4) ** 2,
    )
    assert len(training_nodes(made)) == 1
