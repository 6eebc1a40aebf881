import numpy as np
import pytest

from optimize.fusions.codec.conv_transpose import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run


def text(stride: int, padding: int, output_padding: int = 0, kernel: int | None = None) -> str:
    attributes = (
        f"kernel_shape = [{kernel or 2 * stride}], strides = [{stride}], "
        f"pads = [{padding}, {padding}], output_padding = [{output_padding}]"
    )
    return f"""(float[b, 6, n] x) => (float[b, 4, m] y) {{
     y = ConvTranspose <{attributes}> (x, w, bias) }}"""


@pytest.mark.parametrize(
    ("stride", "padding", "output_padding"),
    [(8, 4, 0), (3, 1, 0), (3, 2, 0), (3, 2, 1), (2, 0, 0), (6, 3, 0), (4, 2, 2)],
)
@pytest.mark.parametrize("length", [1, 7])
def test_the_convolution_form_gives_the_same_samples(
    stride: int, padding: int, output_padding: int, length: int
) -> None:
    weights = {"w": normal(6, 4, 2 * stride), "bias": normal(4, seed=1)}
    graph = text(stride, padding, output_padding)
    feeds = {"x": normal(2, 6, length)}
    expected = run(model(graph, **weights), feeds)["y"]
    fused = model(graph, **weights)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused)["ConvTranspose"] == 0
    assert ops(fused)["Conv"] == 1
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


def test_another_kernel_is_left_with_the_reason() -> None:
    made = model(text(4, 2, kernel=7), w=normal(6, 4, 7), bias=normal(4))
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert "kernel 7 is not twice its stride 4" in unmatched[0].reason


def test_without_a_bias_it_is_a_convolution_without_one() -> None:
    graph = text(3, 1).replace(", bias)", ")")
    feeds, weights = {"x": normal(2, 6, 7)}, {"w": normal(6, 4, 6)}
    fused = model(graph, **weights)
    assert apply(RULE, fused.graph) == (1, [])
    (conv,) = (node for node in fused.graph if node.op_type == "Conv")
    assert len(conv.inputs) == 2
    expected = run(model(graph, **weights), feeds)["y"]
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


GROUPED = """(float[b, 6, n] x) => (float[b, 4, m] y) {
 y = ConvTranspose <kernel_shape = [6], strides = [3], group = 2> (x, w) }"""


@pytest.mark.parametrize(
    ("graph", "weight", "reason"),
    [
        (text(3, 1).replace("x)", "x, float[6, 4, 6] w)", 1), None, "bias is not constant"),
        (GROUPED, normal(6, 2, 6), "grouped or dilated"),
        (GROUPED.replace("group = 2", "dilations = [2]"), normal(6, 4, 6), "grouped or dilated"),
        (GROUPED.replace("group = 2", 'auto_pad = "VALID"'), normal(6, 4, 6), "given by auto_pad"),
        (GROUPED.replace("group = 2", "output_shape = [9]"), normal(6, 4, 6), "output_shape"),
        (text(3, 1, output_padding=2), normal(6, 4, 6), "exceeds its padding"),
        (
            """(float[b, 6, n, k] x) => (float[b, 4, m, l] y) {
             y = ConvTranspose <kernel_shape = [2, 2]> (x, w) }""",
            normal(6, 4, 2, 2),
            "2 spatial axes",
        ),
    ],
)
def test_what_has_no_convolution_form_is_left_with_the_reason(
    graph: str, weight: np.ndarray | None, reason: str
) -> None:
    given = {"bias": normal(4)} if "bias" in graph else {}
    made = model(graph, **given, **({} if weight is None else {"w": weight}))
    count, (unmatched,) = apply(RULE, made.graph)
    assert (count, ops(made)) == (0, {"ConvTranspose": 1})
    assert reason in unmatched.reason
