"""A gated unit as one operator of the library: what is taken, what is left, and the values."""

from pathlib import Path

import numpy as np
import pytest

from optimize.fusions import native_gate
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run
from vampnet_models.native.library import build_library, compiler
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.session import open_session

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")
pytestmark = pytest.mark.usefixtures("native_cache")

GATE = """(float[b, t, 30] x, float[b, t, 30] g) => (float[b, t, 30] y) {
 u = Gelu <approximate = "tanh"> (g) y = Mul(x, u) }"""


@needs_compiler
@pytest.mark.parametrize("product", ["Mul(x, u)", "Mul(u, x)"])
def test_it_computes_what_the_operators_compute(product: str, tmp_path: Path) -> None:
    build_library()
    feeds = {"x": normal(2, 311, 30), "g": 6 * normal(2, 311, 30, seed=1)}
    feeds["g"][0, 0, :6] = [0, 1e-30, 80, -80, 1e30, -20]
    expected = run(model(GATE.replace("Mul(x, u)", product)), feeds)["y"]
    made = model(GATE.replace("Mul(x, u)", product))
    assert apply(native_gate.RULE, made.graph) == (1, [])
    assert ops(made) == {"GatedGelu": 1}
    save_model(made, tmp_path / "m.onnx")
    found = open_session(tmp_path / "m.onnx", threads=2).run(feeds)["y"]
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    feeds["g"][1, 1, 1] = np.nan
    found = open_session(tmp_path / "m.onnx").run(feeds)["y"]
    assert np.isnan(found).sum() == 1


@pytest.mark.parametrize(
    ("part", "other", "reason"),
    [
        ('<approximate = "tanh"> ', "", "not of the tanh form"),
        ("float[b, t, 30] x", "float[b, 1, 30] x", "may have another shape"),
        ("float[b, t, 30] x", "float[b, t, 30] z, float[30] x", "may have another shape"),
        ("Mul(x, u)", "Mul(u, u)", "no gate of another value"),
    ],
)
def test_others_are_left_with_the_reason(part: str, other: str, reason: str) -> None:
    made = model(GATE.replace(part, other))
    before = ops(made)
    count, (left,) = apply(native_gate.RULE, made.graph)
    assert (count, ops(made)) == (0, before)
    assert reason in left.reason
