"""Convolutions in 8 bits, before operators whose integer kernels know one scale only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optimize.precision.contract import NO_TRAITS
from optimize.precision.int8 import conv_exclusions
from optimize.precision.int8.one_scale import _JOINED_OPS, takes_one_scale
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import convert, model, normal, run, runtime_ops, snr_db
from tests.optimize.precision.test_conv_ranks import ranges_of

UNARY = {
    "LeakyRelu": "j = LeakyRelu(c)",
    "Sigmoid": "j = Sigmoid(c)",
    "Softmax": "j = Softmax(c)",
    "AveragePool": "j = AveragePool <kernel_shape = [1, 1]> (c)",
    "Add": "j = Add(c, d)",
    "Mul": "j = Mul(c, d)",
    "Concat": "j = Concat <axis = 2> (c, d)",
    "GlobalAveragePool": "g = GlobalAveragePool(c) j = Expand(g, wide)",
    "moved": "t = Transpose <perm = [0, 1, 3, 2]> (c) j = LeakyRelu(t)",
}
WEIGHTS = {
    "w": normal(32, 24, 3, 3) / 8,
    "v": normal(32, 24, 3, 3, seed=1) / 8,
    "m": normal(16, 20, seed=2),
    "wide": np.array([1, 32, 16, 16]),
}


def text_of(kind: str) -> str:
    return f"""(float[2, 24, 16, 16] x) => (float[p, q, r, s] y) {{
     c = Conv <pads = [1, 1, 1, 1]> (x, w) d = Conv <pads = [1, 1, 1, 1]> (x, v)
     {UNARY[kind]} y = MatMul(j, m) }}"""


def test_every_joined_operator_is_tried() -> None:
    assert set(UNARY) == _JOINED_OPS | {"moved"}


@pytest.mark.parametrize("kind", UNARY)
def test_what_the_runtime_joins_loads_and_says_what_it_said(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)
    weights = {k: v for k, v in WEIGHTS.items() if k != "wide" or kind == "GlobalAveragePool"}
    made = model(text_of(kind), **weights)
    feeds = {"x": normal(2, 24, 16, 16, seed=3)}
    expected = run(made, feeds)["y"]
    names = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    convert(made, StaticInt8(), ranges_of(made, [feeds], names))
    assert snr_db(expected, run(made, feeds)["y"]) > 20
    assert runtime_ops(made, tmp_path)["QLinearConv"] >= 1


def test_a_product_of_two_convolutions_takes_one_scale_and_an_elementwise_chain_none() -> None:
    made = model(
        """(float[1, 24, 16, 16] x) => (float[p, q, r, s] y, float[1, 32, 16, 16] z) {
         c = Conv <pads = [1, 1, 1, 1]> (x, w) d = Conv <pads = [1, 1, 1, 1]> (x, v)
         e = Conv <pads = [1, 1, 1, 1]> (x, v) y = MatMul(c, d) a = Mul(e, e) z = Sin(a) }""",
        w=WEIGHTS["w"],
        v=WEIGHTS["v"],
    )
    values = {v.name: v for node in made.graph for v in node.outputs}
    assert [takes_one_scale(values[name]) for name in "cde"] == [True, True, False]
