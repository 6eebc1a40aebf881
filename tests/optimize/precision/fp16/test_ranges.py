from pathlib import Path

import numpy as np
import pytest

from calibration.ranges.observers import Range
from optimize.precision.fp16.convert import Float16
from optimize.precision.fp16.ranges import (
    load_ranges,
    nodes_to_keep,
    save_ranges,
    tensors_to_measure,
)
from tests.optimize.graphs import check, convert, model, normal, ops, run, snr_db
from vampnet_models.errors import InputError

TEXT = """(float[b, 32] x) => (float[b, 32] y) {
 h = MatMul(x, w) big = Mul(h, up) small = Mul(big, down) y = MatMul(small, v) }"""
WEIGHTS = {
    "w": normal(32, 32),
    "v": normal(32, 32, seed=1),
    "up": np.float32(3e4),
    "down": np.float32(1 / 3e4),
}
FEEDS = {"x": normal(4, 32)}
RANGES = {
    "h": Range(-20.0, 20.0),
    "big": Range(-6e5, 6e5),
    "small": Range(-20.0, 20.0),
}


def named() -> dict[str, str]:
    made = model(TEXT, **WEIGHTS)
    for node in made.graph:
        node.name = node.outputs[0].name
    return nodes_to_keep(made.graph, RANGES)


def test_what_overflows_is_kept_with_its_reason() -> None:
    assert named() == {
        "big": "big reaches 6e+05 on calibration data; float16 ends at 65504",
        "small": "big reaches 6e+05 on calibration data; float16 ends at 65504",
    }


def test_what_float16_cannot_resolve_is_kept() -> None:
    made = model("(float[b, 4] x) => (float[b, 4] y) { h = Neg(x) y = Neg(h) }")
    for node in made.graph:
        node.name = node.outputs[0].name
    assert tensors_to_measure(made.graph) == {"h": None}
    assert set(nodes_to_keep(made.graph, {"h": Range(-1e-6, 1e-6)})) == {"h", "y"}
    assert nodes_to_keep(made.graph, {"h": Range(-1e-3, 1e-6)}) == {}
    assert nodes_to_keep(made.graph, {"h": Range(0.0, 0.0)}) == {}


def test_emulation_overflows_where_float16_would_and_measured_ranges_mend_it() -> None:
    expected = run(model(TEXT, **WEIGHTS), FEEDS)["y"]
    bare, kept, variant = (model(TEXT, **WEIGHTS) for _ in range(3))
    for made in (bare, kept, variant):
        for node in made.graph:
            node.name = node.outputs[0].name
    assert convert(bare, Float16(emulated=True)).precision["float16, emulated"] > 0
    assert not np.isfinite(run(bare, FEEDS)["y"]).all()
    convert(kept, Float16(ranges=RANGES, emulated=True))
    found = run(kept, FEEDS)["y"]
    assert 50 < snr_db(expected, found) < 80
    done = convert(variant, Float16(ranges=RANGES))
    assert {n.node for n in done.float_nodes} == {"big", "small"}
    assert snr_db(found, run(variant, FEEDS)["y"]) > 50
    check(kept)
    check(variant)


def test_emulation_rounds_every_result_and_the_weights() -> None:
    text = "(float[b, 32] x) => (float[b, 32] y) { h = MatMul(x, w) g = Sigmoid(h) y = Neg(g) }"
    made = model(text, w=normal(32, 32))
    assert convert(made, Float16(emulated=True)).precision == {"float16, emulated": 5}
    assert ops(made)["Cast"] == 8
    x, w = FEEDS["x"].astype(np.float16), normal(32, 32).astype(np.float16)
    h = (x.astype(np.float32) @ w.astype(np.float32)).astype(np.float16).astype(np.float32)
    expected = -(1 / (1 + np.exp(-h))).astype(np.float16).astype(np.float32)
    found = run(made, FEEDS)["y"]
    assert (found == expected).mean() > 0.9
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_operators_are_kept_by_type() -> None:
    made = model(TEXT, **WEIGHTS)
    done = convert(made, Float16(keep_ops=("Mul",)))
    assert [n.reason for n in done.float_nodes] == ["its operator is kept by the caller"] * 2
    with pytest.raises(InputError, match="Softmax: no operator of that type"):
        convert(model(TEXT, **WEIGHTS), Float16(keep_ops=("Softmax",)))


def test_ranges_are_kept_for_their_model_alone(tmp_path: Path) -> None:
    path = tmp_path / "my ranges.json"
    save_ranges(path, "a" * 64, RANGES)
    assert load_ranges(path, "a" * 64) == RANGES
    with pytest.raises(InputError, match="measured on another model"):
        load_ranges(path, "b" * 64)
    path.write_text(path.read_text()[:40])
    with pytest.raises(InputError, match="no readable ranges"):
        load_ranges(path, "a" * 64)
