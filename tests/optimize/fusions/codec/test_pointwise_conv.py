import numpy as np

from optimize.fusions.codec.pointwise_conv import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

SWAP = "Transpose <perm = [0, 2, 1]>"
TEXT = f"""(float[b, t, 6] x) => (float[b, t, 10] y) {{
 c = {SWAP} (x) s = Conv <kernel_shape = [1]> (c, w, bias) y = {SWAP} (s) }}"""


def weights(n_out: int = 10, n_in: int = 6) -> dict[str, np.ndarray]:
    return {"w": normal(n_out, n_in, 1), "bias": normal(n_out, seed=1)}


def test_a_conv_between_transposes_becomes_a_matmul_without_them() -> None:
    feeds = {"x": normal(2, 5, 6)}
    expected = run(model(TEXT, **weights()), feeds)["y"]
    fused = model(TEXT, **weights())
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"MatMul": 1, "Add": 1}
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


def test_another_reader_still_gets_the_columns() -> None:
    text = f"""(float[b, t, 60] x) => (float[b, t, 10] y, float[b, 10, t] z) {{
     c = {SWAP} (x) s = Conv (c, w) y = {SWAP} (s) z = Relu(s) }}"""
    weight = {"w": normal(10, 60, 1)}
    feeds = {"x": normal(2, 5, 60)}
    expected = run(model(text, **weight), feeds)
    fused = model(text, **weight)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused)["Conv"] == 0
    found = run(fused, feeds)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_a_conv_that_would_transpose_more_is_left_with_the_reason() -> None:
    text = f"(float[b, 60, t] x) => (float[b, t, 8] y) {{ s = Conv (x, w) y = {SWAP} (s) }}"
    made = model(text, w=normal(8, 60, 1))
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert "60 channels instead of 8" in unmatched[0].reason


def test_a_padded_conv_is_left_with_the_reason() -> None:
    text = TEXT.replace("kernel_shape = [1]", "kernel_shape = [1], pads = [1, 1]")
    made = model(text, **weights())
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert "padding" in unmatched[0].reason
