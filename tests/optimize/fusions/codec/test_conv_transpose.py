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
