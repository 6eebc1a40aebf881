"""A weight with many readers is stored once in each precision: layers, scopes, tables, biases."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.ranges.collect import collect_channel_ranges, collect_moments
from calibration.ranges.observers import Range
from optimize.fusions.order import Form, fuse
from optimize.precision.contract import NO_TRAITS, Conversion, Traits
from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.int8.static import StaticInt8
from optimize.precision.shared import tables
from optimize.precision.weights import weight_only
from optimize.precision.weights.calibrated_weights import CalibratedWeights
from optimize.precision.weights.weight_only import WeightOnly
from optimize.surgery.scopes import all_nodes
from tests.optimize.graphs import Array, check, convert, model, normal, run, snr_db
from vampnet_models.onnxfile.artifact import save_model

LAYERS = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 a = MatMul(x, w) b1 = Add(a, c) r = Tanh(b1) d = MatMul(r, w) b2 = Add(d, c) y = Tanh(b2) }"""

TIED = """(int64[b, t] ids) => (float[b, t, 300] y) {
 e = Gather<axis = 0>(table, ids) h = MatMul(e, w) a = Tanh(h) tt = Transpose<perm = [1, 0]>(table)
 y = MatMul(a, tt) }"""

TIED_GEMM = """(int64[n] ids) => (float[n, 300] y) {
 e = Gather<axis = 0>(table, ids) h = MatMul(e, w) a = Tanh(h)
 y = Gemm<transB = 1, alpha = 0.5>(a, table) }"""

TIED_AS_STORED = """(int64[b, t] ids) => (float[b, t, 300] y) {
 e = Gather<axis = 0>(table, ids) y = MatMul(e, table) }"""

BRANCHES = """(float[b, 64] x, bool c) => (float[b, 64] y) {
 h = MatMul(x, w)
 i = If (c) <
  then_branch = t () => (float[b, 64] t2) { t1 = MatMul(h, w) t2 = Relu(t1) },
  else_branch = e () => (float[b, 64] e2) {
   e2 = If (c) <
    then_branch = d () => (float[b, 64] d1) { d1 = MatMul(h, w) },
    else_branch = f () => (float[b, 64] f1) { f1 = MatMul(h, own) } > } >
 y = MatMul(i, w) }"""

Convert = Callable[[ir.Model], Conversion]
WAYS: dict[str, Convert] = {
    "dynamic": lambda made: convert(made, DynamicInt8()),
    "weights8": lambda made: convert(made, WeightOnly(8)),
    "channel": lambda made: convert(made, WeightOnly(8, None)),
    "weights4": lambda made: convert(made, WeightOnly(4)),
}
DECIBELS = {"dynamic": 25, "weights8": 35, "channel": 35, "weights4": 12}


def stored(made: ir.Model) -> int:
    """Bytes of all weights, in bodies too."""
    tensors = (v.const_value for graph in made.graphs() for v in graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def nested() -> ir.Model:
    """Branches that read the main graph's weight, and one with a weight of its own."""
    made = model(BRANCHES, w=normal(64, 64) / 8, own=normal(64, 64, seed=3) / 8)
    own = made.graph.initializers.pop("own")
    body = own.consumers()[0].graph
    assert isinstance(body, ir.Graph) and body is not made.graph
    body.register_initializer(own)
    return made


@pytest.mark.exact_products
@pytest.mark.parametrize("way", WAYS)
def test_layers_share_their_weight(way: str) -> None:
    weights = {"w": normal(64, 64) / 8, "c": normal(64)}
    feeds = {"x": normal(2, 5, 64)}
    expected = run(model(LAYERS, **weights), feeds)["y"]
    made = model(LAYERS, **weights)
    WAYS[way](made)
    assert stored(made) < (0.45 if way == "weights8" else 0.4) * 64 * 64 * 4
    assert snr_db(expected, run(made, feeds)["y"]) > DECIBELS[way]
    check(made)


@pytest.mark.exact_products
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("condition", [True, False])
def test_bodies_share_the_weight_of_the_main_graph_and_convert_their_own(
    way: str, condition: bool
) -> None:
    feeds = {"x": normal(3, 64), "c": np.array(condition)}
    expected = run(nested(), feeds)["y"]
    made = nested()
    done = WAYS[way](made)
    assert sum(done.precision.values()) == 5 and "float32" not in done.precision
    assert stored(made) < 0.45 * 2 * 64 * 64 * 4
    assert snr_db(expected, run(made, feeds)["y"]) > DECIBELS[way]
    names = [v.name for n in all_nodes(made.graph) for v in n.outputs]
    assert len(set(names)) == len(names)
    check(made)


@pytest.mark.exact_products
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [TIED, TIED_GEMM, TIED_AS_STORED])
def test_a_table_and_the_product_it_is_tied_to_share_their_integers(text: str, way: str) -> None:
    is_square = text is TIED_AS_STORED
    width = 300 if is_square else 64
    weights = {"table": normal(300, width) / 8}
    if not is_square:
        weights["w"] = normal(64, 64) / 8
    ids = np.array([[3, 299, 0], [17, 4, 4]])
    feeds = {"ids": ids.reshape(-1) if text is TIED_GEMM else ids}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    fuse(made, Form.WEIGHTS.rules)
    done = WAYS[way](made)
    n_bytes = sum(array.nbytes for array in weights.values())
    assert stored(made) < 0.35 * n_bytes
    assert snr_db(expected, run(made, feeds)["y"]) > DECIBELS[way]
    assert not [node for node in done.float_nodes if node.op_type == "Gather"]
    check(made)


@pytest.mark.parametrize("n_rows", [300, 3000])
def test_a_turned_table_of_any_size_is_stored_once_by_the_whole_way(n_rows: int) -> None:
    weights = {"table": normal(n_rows, 64) / 8, "w": normal(64, 64) / 8}
    n_bytes = sum(array.nbytes for array in weights.values())
    text = TIED.replace("300]", f"{n_rows}]")
    made = model(text, **weights)
    fuse(made)
    assert stored(made) == n_bytes
    for converted in WAYS.values():
        made = model(text, **weights)
        fuse(made, Form.WEIGHTS.rules)
        converted(made)
        assert stored(made) < 0.35 * n_bytes


def test_a_tied_product_that_stays_float_is_not_stored_twice() -> None:
    text = """(float[b, t, 8] x, int64[n] ids) => (float[b, t, 1000] y, float[n, 8] rows) {
     rows = Gather<axis = 0>(table, ids) tt = Transpose(table) y = MatMul(x, tt) }"""
    made = model(text, table=normal(1000, 8))
    feeds = {"x": normal(1, 2, 8), "ids": np.arange(3)}
    expected = run(made, feeds)
    fuse(made, Form.WEIGHTS.rules)
    done = convert(made, DynamicInt8(), traits=Traits(is_family=True))
    assert done.precision == {"float32": 1}, "eight channels are too few"
    assert stored(made) == 1000 * 8 * 4
    for name, values in run(made, feeds).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)


@pytest.mark.exact_products
def test_static_int8_shares_weights_too_and_takes_bodies_by_run_time_ranges(
    tmp_path: Path,
) -> None:
    path, made = tmp_path / "m.onnx", nested()
    save_model(made, path)
    feeds = [{"x": normal(40, 64, seed=n), "c": np.array(n % 2 == 0)} for n in range(3)]
    axes = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    ranges = collect_channel_ranges(path, feeds, axes)
    done = convert(made, StaticInt8(), ranges, moments_of=partial(collect_moments, path, feeds))
    assert done.precision == {"int8": 2, "int8-dynamic": 3}
    assert all("body of an If, Loop or Scan" in node.reason for node in done.mixed_nodes)
    assert stored(made) < 0.35 * 2 * 64 * 64 * 4
    for feed in feeds:
        expected = run(nested(), feed)["y"]
        assert snr_db(expected, run(made, feed)["y"]) > 25
    check(made)


@pytest.mark.parametrize("way", ["static", "weights4"])
def test_gptq_rounds_a_shared_weight_by_the_inputs_of_all_its_readers(
    tmp_path: Path, way: str
) -> None:
    mix, weights = normal(6, 64, seed=7), {"w": normal(64, 64) / 8, "c": normal(64)}

    def feed(seed: int) -> dict[str, Array]:
        return {"x": normal(1, 60, 6, seed=seed) @ mix + 0.01 * normal(1, 60, 64, seed=seed)}

    path, feeds, unseen = tmp_path / "m.onnx", [feed(n) for n in range(4)], feed(50)
    save_model(model(LAYERS, **weights), path)
    expected = run(model(LAYERS, **weights), unseen)["y"]
    made, plain = model(LAYERS, **weights), model(LAYERS, **weights)
    if way == "static":
        ranges = collect_channel_ranges(
            path, feeds, StaticInt8().plan(made.graph, NO_TRAITS).ranges
        )
        convert(plain, StaticInt8(), ranges)
        convert(
            made,
            StaticInt8(),
            ranges,
            moments_of=partial(collect_moments, path, feeds),
        )
    else:
        convert(plain, WeightOnly(4, method="asymmetric"))
        convert(
            made,
            CalibratedWeights(WeightOnly(4, method="asymmetric")),
            moments_of=partial(collect_moments, path, feeds),
        )
    assert stored(made) < 0.35 * 64 * 64 * 4
    closer = snr_db(expected, run(made, unseen)["y"])
    assert closer > snr_db(expected, run(plain, unseen)["y"]) - (0.5 if way == "static" else -1)


@pytest.mark.exact_products
def test_large_tables_in_float_are_named_with_their_bytes_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "_TOLD_FROM_BYTES", 50_000)
    text = """(int64[n] ids) => (float[n, 64] y) {
     e = Gather<axis = 0>(table, ids) f = Gather<axis = 0>(table, ids) s = Add(e, f)
     y = MatMul(s, w) }"""
    weights = {"table": normal(300, 64), "w": normal(64, 64) / 8}
    feeds = {"ids": np.arange(20)}
    expected = run(model(text, **weights), feeds)["y"]
    for precision in (DynamicInt8(), WeightOnly(8)):
        done = convert(model(text, **weights), precision)
        assert done.warnings == (
            "tables of 0.1 MB stay float: --tables stores their rows in 8 bits",
        )
        left = [node.reason for node in done.float_nodes if node.op_type == "Gather"]
        assert left == ["a table of 75 KiB: its rows are looked up, not summed"] * 2
    made = model(text, **weights)
    done = convert(made, DynamicInt8(tables=True))
    assert (done.precision, done.warnings) == ({"int8": 3}, ())
    assert stored(made) < 0.3 * sum(array.nbytes for array in weights.values())
    assert snr_db(expected, run(made, feeds)["y"]) > 30


def test_static_int8_takes_tables_where_asked_for() -> None:
    text = """(int64[n] ids) => (float[n, 64] y) {
     e = Gather<axis = 0>(table, ids) y = MatMul(e, w) }"""
    weights = {"table": normal(300, 64), "w": normal(64, 64) / 8}
    feeds = {"ids": np.arange(20)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    seen = Range(float(weights["table"].min()), float(weights["table"].max()))
    done = convert(made, StaticInt8(tables=True), {"e": seen})
    assert done.precision == {"int8": 2}
    assert stored(made) < 0.3 * sum(array.nbytes for array in weights.values())
    assert snr_db(expected, run(made, feeds)["y"]) > 30


def test_weights_that_are_cast_or_on_the_left_are_converted(tmp_path: Path) -> None:
    text = """(float[b, 64, 5] x) => (float[b, 64, 5] y) {
     w = Cast<to = 1>(half) a = MatMul(w, x) y = MatMul(one, a) }"""
    weights = {"half": (normal(64, 64) / 8).astype(np.float16), "one": normal(1, 64, 64) / 8}
    feeds = {"x": normal(2, 64, 5)}
    expected = run(model(text, **weights), feeds)["y"]
    for way, converted in WAYS.items():
        made = model(text, **weights)
        fuse(made, Form.WEIGHTS.rules)
        done = converted(made)
        assert sum(done.precision.values()) == 2 and "float32" not in done.precision
        assert stored(made) < 0.4 * 2 * 64 * 64 * 4
        assert snr_db(expected, run(made, feeds)["y"]) > DECIBELS[way]


@pytest.mark.parametrize("way", WAYS)
def test_a_stack_of_matrices_has_scales_of_its_own(way: str) -> None:
    text = "(float[b, 4, n, 64] x) => (float[b, 4, n, 32] y) { y = MatMul(x, w) }"
    spread = np.float32(10.0) ** np.arange(4, dtype=np.float32).reshape(4, 1, 1)
    weights = {"w": normal(4, 64, 32) * spread}
    feeds = {"x": normal(2, 4, 3, 64)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    done = WAYS[way](made)
    assert done.precision == {"int8": 1}
    assert [n.reason for n in done.mixed_nodes] == ([weight_only._STACK] if "4" in way else [])
    found = run(made, feeds)["y"]
    assert snr_db(expected[:, 0], found[:, 0]) > 30
    assert stored(made) < 0.3 * 4 * 64 * 32 * 4
    check(made)


def test_a_half_precision_table_that_stays_is_cast_as_before() -> None:
    text = """(int64[n] ids) => (float[n, 64] y) {
     t = Cast<to = 1>(stored) e = Gather<axis = 0>(t, ids) y = MatMul(e, w) }"""
    weights = {"stored": normal(3000, 64).astype(np.float16), "w": normal(64, 64) / 8}
    feeds = {"ids": np.arange(0, 3000, 70)}
    expected = run(model(text, **weights), feeds)["y"]
    for way, converted in WAYS.items():
        made = model(text, **weights)
        fuse(made, Form.WEIGHTS.rules)
        done = converted(made)
        assert [n.op_type for n in done.float_nodes] == ["Gather"]
        assert stored(made) < weights["stored"].nbytes + 0.4 * weights["w"].nbytes
        assert snr_db(expected, run(made, feeds)["y"]) > DECIBELS[way]
    made = model(text, **weights)
    fuse(made, Form.WEIGHTS.rules)
    convert(made, DynamicInt8(tables=True))
    assert stored(made) < 0.3 * 2 * weights["stored"].nbytes


@pytest.mark.parametrize("shape", [(64, 0), (0, 64), (2, 64, 0)])
@pytest.mark.parametrize("way", WAYS)
def test_empty_weights_stay_with_the_reason(shape: tuple[int, ...], way: str) -> None:
    text = "(float[2, 3, k] x) => (float[2, 3, n] y) { y = MatMul(x, w) }"
    done = WAYS[way](model(text, w=np.zeros(shape, np.float32)))
    assert [node.reason for node in done.float_nodes] == ["its weight is empty"]
