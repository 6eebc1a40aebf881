import numpy as np
import onnx_ir as ir
import pytest

from optimize.fusions.rule import apply
from optimize.fusions.weights.codebook_lookup import RULE
from tests.optimize.graphs import model, normal, ops, run

HEAD = "(int64[b, t] c0, int64[b, t] c1, int64[b, t] c2) => (float[b, 16, t] y)"
LOOKUP = "g{n} = Gather(table{n}, c{n}) t{n} = Transpose <perm = [0, 2, 1]> (g{n}) "
CONV = "p{n} = Conv(t{n}, w{n}, b{n}) "
PARTS = "".join((LOOKUP + CONV).format(n=n) for n in range(3))
SUMS = {
    "from the first": "s = Add(p0, p1) y = Add(s, p2)",
    "from zero": "z = Add(zero, p0) s = Add(z, p1) y = Add(s, p2)",
    "from the last": "s = Add(p1, p2) y = Add(p0, s)",
}


def lookups(body: str) -> ir.Model:
    weights = {"zero": np.float32(0), "half": np.float32(0.5)}
    for n, size in enumerate((4, 4, 6)):
        weights |= {
            f"table{n}": normal(10, size, seed=n),
            f"w{n}": normal(16, size, 1, seed=n + 3),
            f"b{n}": normal(16, seed=n + 6),
        }
    return model(f"{HEAD} {{ {body} }}", **weights)


@pytest.mark.parametrize("form", SUMS)
@pytest.mark.parametrize("length", [3, 11])
def test_the_sum_becomes_one_projection(form: str, length: int) -> None:
    rng = np.random.default_rng(length)
    feeds = {f"c{n}": rng.integers(0, 10, (2, length)) for n in range(3)}
    expected = run(lookups(PARTS + SUMS[form]), feeds)["y"]
    made = lookups(PARTS + SUMS[form])
    assert apply(RULE, made.graph) == (1, [])
    assert dict(ops(made)) == {"Gather": 3, "Concat": 1, "Transpose": 1, "Conv": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{PARTS} s = Add(p0, p1) h = Mul(p2, half) y = Add(s, h)", "no projected lookup"),
        (f"{PARTS} s = Add(p0, p1) r = Add(s, p2) y = Sub(r, p2)", "read elsewhere"),
        (f"{PARTS} s = Sub(p0, p1) y = Sub(s, p2)", "is no sum of lookups"),
        (
            PARTS.replace("Conv(t2, w2", "Conv <pads = [1, 0]> (t2, w2") + SUMS["from zero"],
            "pointw",
        ),
    ],
)
def test_what_is_no_sum_of_lookups_is_left_with_the_reason(body: str, reason: str) -> None:
    made = lookups(body)
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert any(reason in each.reason for each in unmatched)
    assert ops(made)["Conv"] == 3
