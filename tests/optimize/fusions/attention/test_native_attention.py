"""Relative attention in the operator library; skipped where there is no compiler."""

from pathlib import Path

import numpy as np
import pytest

from optimize.fusions.attention.native_attention import RULE, RULE_BFLOAT16
from optimize.fusions.order import Form, fuse
from optimize.fusions.rule import apply
from tests.optimize.fusions.attention.test_portable_attention import ATTENTION, attention
from tests.optimize.fusions.test_exported import EXPORTERS, feeds, fused, unpacked
from tests.optimize.graphs import ops, snr_db
from vampnet_models.native.library import build_library, compiler
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.onnxfile.session import open_session

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")
pytestmark = pytest.mark.usefixtures("native_cache")


@needs_compiler
@pytest.mark.parametrize(("rule", "least_db"), [(RULE, 100), (RULE_BFLOAT16, 45)])
def test_it_has_the_values_of_the_model_at_any_length(
    small_models: Path, tmp_path: Path, rule, least_db: float
) -> None:
    build_library()
    source = small_models / "coarse.onnx"
    made = load_model(source)
    fuse(made, Form.CPU.rules)
    n_attentions = ops(made)["MultiHeadAttention"]
    assert apply(rule, made.graph) == (n_attentions, [])
    assert n_attentions > 0 and ops(made)["MultiHeadAttention"] == 0
    save_model(made, tmp_path / "native.onnx")
    before, after = open_session(source), open_session(tmp_path / "native.onnx", threads=2)
    rng = np.random.default_rng(0)
    for batch, length in ((1, 1), (2, 3), (1, 16), (1, 17), (2, 49), (1, 200), (1, 575)):
        fed = {
            "codes": rng.integers(0, 1024, (batch, 4, length)),
            "mask": rng.integers(0, 2, (batch, 4, length)),
        }
        expected, got = before.run(fed)["logits"], after.run(fed)["logits"]
        assert snr_db(expected, got) > least_db


@needs_compiler
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(("name", "layers"), [("coarse", 20), ("c2f", 16)])
def test_exported_graphs_are_matched_at_full_depth(
    name: str, layers: int, exporter: str, tmp_path: Path
) -> None:
    build_library()
    source = unpacked(name, exporter, tmp_path)
    _, made, _ = fused(source, Form.CPU.rules)
    assert apply(RULE, made.graph) == (layers, [])
    save_model(made, tmp_path / "native.onnx")
    fed = feeds(name, 17)
    expected, got = (open_session(p).run(fed) for p in (source, tmp_path / "native.onnx"))
    for output, values in expected.items():
        np.testing.assert_allclose(got[output], values, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ATTENTION, "not made of a difference of positions"),
        (ATTENTION.replace("(q, k, v, , , bias)", "(q, k, v)"), "no position bias"),
        (ATTENTION.replace("v, , ,", "v, , k,"), "padding mask"),
    ],
)
def test_another_attention_is_left_with_the_reason(text: str, reason: str) -> None:
    made = attention(text)
    count, (unmatched,) = apply(RULE, made.graph)
    assert count == 0
    assert reason in unmatched.reason
    assert ops(made)["MultiHeadAttention"] == 1


def test_a_bias_that_the_model_also_gives_out_is_left(small_models: Path) -> None:
    made = load_model(small_models / "coarse.onnx")
    fuse(made, Form.CPU.rules)
    bias = next(n for n in made.graph if n.op_type == "MultiHeadAttention").inputs[5]
    made.graph.outputs.append(bias)
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert all("is an output of the model" in each.reason for each in unmatched)
