from pathlib import Path

import numpy as np
import pytest

from optimize.precision.weights.six_bits import quantize_product
from optimize.precision.weights.weight_only import Rounded
from tests.optimize.graphs import check, model, normal, ops, run, runtime_ops


@pytest.mark.parametrize("block", [32, 128])
def test_the_runtime_multiplies_by_the_six_bits(tmp_path: Path, block: int) -> None:
    """Of a row count that is no multiple of the block, by each of the 64 values."""
    text = (
        "(float[n, 80] x) => (float[n, 24] y, float[n, 24] z) { y = MatMul(x, w) z = MatMul(x, w) }"
    )
    made, rows = model(text, w=normal(80, 24)), -(-80 // block) * block
    rng = np.random.default_rng(0)
    values = rng.integers(0, 64, (24, rows // block, block)).astype(np.uint8)
    scales = rng.uniform(0.01, 0.02, (rows // block, 24)).astype(np.float16)
    for node in list(made.graph):
        quantize_product(node, block, Rounded(scales / np.float16(4), None, lambda: values))
    weight = (values.astype(np.float32) - 32) * scales.T.astype(np.float32)[..., None]
    x = normal(5, 80, seed=1)
    expected = x @ weight.reshape(24, rows)[:, :80].T
    for output in run(made, {"x": x}).values():
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)
    assert ops(made)["MatMulNBits"] == 2
    assert runtime_ops(made, tmp_path) == {"MatMulNBits": 2}
    stored = [v.const_value for n, v in made.graph.initializers.items() if n.startswith("w.int6")]
    assert sum(tensor.nbytes for tensor in stored if tensor is not None) == rows * 24 * 6 / 8
    check(made)
