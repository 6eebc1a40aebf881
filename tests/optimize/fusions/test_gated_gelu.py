import math

import numpy as np
import pytest

from optimize.fusions.gated_gelu import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

CONSTANTS = {
    "half": np.float32(0.5),
    "one": np.float32(1),
    "three": np.float32(3),
    "cubic": np.float32(0.044715),
    "root": np.float32(math.sqrt(2 / math.pi)),
    "root2": np.float32(math.sqrt(2)),
}
CHAINS = {
    "tanh with Pow": "c = Pow(g, three) d = Mul(c, cubic) e = Add(g, d) f = Mul(e, root) "
    "t = Tanh(f) u = Add(t, one) h = Mul(g, half) y = Mul(h, u)",
    "tanh with Mul": "s = Mul(g, g) c = Mul(s, g) d = Mul(cubic, c) e = Add(d, g) "
    "f = Mul(root, e) t = Tanh(f) u = Add(one, t) v = Mul(g, u) y = Mul(half, v)",
    "erf": "d = Div(g, root2) t = Erf(d) u = Add(t, one) v = Mul(g, u) y = Mul(v, half)",
    "erf, halved first": "d = Div(g, root2) t = Erf(d) u = Add(t, one) h = Mul(half, u) "
    "y = Mul(g, h)",
}


@pytest.mark.parametrize("chain", CHAINS)
def test_each_chain_becomes_gelu(chain: str) -> None:
    text = f"(float[n] x) => (float[n] y) {{ g = Add(x, half) {CHAINS[chain]} }}"
    feeds = {"x": 3 * normal(64)}
    expected = run(model(text, **CONSTANTS), feeds)["y"]
    fused = model(text, **CONSTANTS)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"Add": 1, "Gelu": 1}
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=2e-6)


def test_a_tanh_that_is_no_gelu_is_left_with_the_reason() -> None:
    text = "(float[n] x) => (float[n] y) { t = Tanh(x) u = Add(t, one) y = Mul(x, u) }"
    made = model(text, **CONSTANTS)
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert "not the rest of a GELU" in unmatched[0].reason


def test_the_last_tanh_of_a_decoder_is_no_candidate() -> None:
    made = model("(float[n] x) => (float[n] y) { y = Tanh(x) }")
    assert apply(RULE, made.graph) == (0, [])
