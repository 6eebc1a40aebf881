import numpy as np
import onnx_ir as ir
import pytest

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


def test_a_grouped_conv_is_left_with_the_reason() -> None:
    made = model(TEXT.replace("kernel_shape = [1]", "group = 2"), **weights(n_in=3))
    count, unmatched = apply(RULE, made.graph)
    assert (count, unmatched[0].reason) == (0, "it is a grouped convolution")


def test_columns_that_the_graph_hands_out_are_transposed_back() -> None:
    text = f"""(float[b, t, 60] x) => (float[b, t, 10] y, float[b, 10, t] s) {{
     c = {SWAP} (x) s = Conv (c, w) y = {SWAP} (s) }}"""
    feeds, weight = {"x": normal(2, 5, 60)}, {"w": normal(10, 60, 1)}
    fused = model(text, **weight)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"MatMul": 1, "Transpose": 1}
    found = run(fused, feeds)
    for name, values in run(model(text, **weight), feeds).items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


HEAD = f"""(float[b, t, 6] x, int64[1] batch, int64[1] length, int64[4] to)
 => (float[b, 5, t, 2] y) {{
 c = {SWAP} (x) s = Conv (c, w) target = Concat <axis = 0> (batch, outer, inner, length)
 r = Reshape(s, target) y = Transpose <perm = [0, 1, 3, 2]> (r) }}"""
"""The original's head, with a length that is known only when it runs."""


def head(text: str) -> tuple[ir.Model, dict[str, np.ndarray]]:
    """The head, and what it is fed."""
    sizes = {"outer": np.array([5]), "inner": np.array([2])}
    feeds = {"x": normal(3, 7, 6), "batch": np.array([3]), "length": np.array([7])}
    return model(text, w=normal(10, 6, 1), **sizes), feeds | {"to": np.array([3, 5, 2, 7])}


def test_a_head_by_class_keeps_its_one_transpose() -> None:
    (plain, feeds), (fused, _) = head(HEAD), head(HEAD)
    assert apply(RULE, fused.graph) == (1, [])
    assert (ops(fused)["Conv"], ops(fused)["MatMul"], ops(fused)["Transpose"]) == (0, 1, 1)
    np.testing.assert_allclose(run(fused, feeds)["y"], run(plain, feeds)["y"], atol=1e-5)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("[0, 1, 3, 2]", "[0, 2, 3, 1]"),
        ("(batch, outer,", "(batch, length,"),
        ("(s, target)", "(s, to)"),
        ("(r) }", "(r) z = Relu(r) }"),
        ("y) {", "y, float[b, 5, 2, t] r) {"),
    ],
)
def test_another_head_is_left_as_it_is(part: str, other: str) -> None:
    made, _ = head(HEAD.replace(part, other))
    count, (unmatched,) = apply(RULE, made.graph)
    assert (count, ops(made)["Conv"]) == (0, 1)
    assert unmatched.reason == "as MatMul it would transpose 10 channels instead of 6"
