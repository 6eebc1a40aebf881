"""A precision per block: who gets what, and what stays decided."""

from pathlib import Path

import numpy as np
import pytest

from calibration.ranges.observers import ChannelRange
from optimize.fusions.order import Form, fuse
from optimize.precision.contract import NO_TRAITS, traits_of
from optimize.precision.int8.static import StaticInt8
from optimize.truth.accuracy import reference_truth
from optimize.tuning import mixed
from optimize.tuning.mixed import Calibrated, Mixture
from optimize.tuning.sensitivity import Trials
from tests.optimize.graphs import Array, check, convert, model, normal, ops, run, snr_db
from vampnet_models.native.library import build_library, compiler
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model, weights_bytes
from vampnet_models.spec import spec_of

CHAIN = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 p = MatMul(x, w0) q = Relu(p) r = MatMul(q, w1) s = Relu(r) u = MatMul(s, w2)
 v = Relu(u) y = MatMul(v, w3) }"""
NAMES = [f"layers.{i}.{kind}/MatMul" for i in (0, 1) for kind in ("up", "down")]


def chain() -> "mixed.ir.Model":
    made = model(CHAIN, **{f"w{i}": normal(64, 64, seed=i) / 8 for i in range(4)})
    products = [node for node in made.graph if node.op_type == "MatMul"]
    for node, name in zip(products, NAMES, strict=True):
        node.name = name
    return made


def ranges_of(feeds: dict[str, Array]) -> dict[str, ChannelRange]:
    made = chain()
    names = [name for name in StaticInt8().plan(made.graph, NO_TRAITS).ranges if name != "x"]
    for node in made.graph:
        made.graph.outputs.extend(v for v in node.outputs if v.name in names)
    seen = run(made, feeds) | feeds
    flat = {name: seen[name].reshape(-1, 64) for name in ["x", *names]}
    return {n: ChannelRange(v.min(axis=0), v.max(axis=0)) for n, v in flat.items()}


def test_blocks_stand_alone_or_by_kind() -> None:
    graph = chain().graph
    assert mixed.blocks_of(graph) == {name: (name,) for name in NAMES}
    assert mixed.blocks_of(graph, "kind") == {
        "layers.*.up/MatMul": (NAMES[0], NAMES[2]),
        "layers.*.down/MatMul": (NAMES[1], NAMES[3]),
    }
    options = mixed.options_of(graph, mixed.blocks_of(graph))
    assert set(options.values()) == {mixed._PRECISIONS}


def test_stages_of_a_codec_are_blocks() -> None:
    text = """(float[b, 32, n] x) => (float[b, 32, k] y) { c = Conv (x, w) y = Conv (c, v) }"""
    made = model(text, w=normal(32, 32, 3), v=normal(32, 32, 3, seed=1))
    for node, name in zip(made.graph, ("encoder.block.1.block.0/Conv", "last/Conv"), strict=True):
        node.name = name
    assert set(mixed.blocks_of(made.graph)) == {"encoder.block.1", "last/Conv"}


def test_each_block_gets_its_precision() -> None:
    feeds = {"x": normal(2, 9, 64, seed=7)}
    expected = run(chain(), feeds)["y"]
    made = chain()
    blocks = mixed.blocks_of(made.graph)
    wanted = dict(
        zip(NAMES, ("int8-static", "int8-dynamic", "int4-weights", "float32"), strict=True)
    )
    done = convert(made, Mixture(blocks, wanted, Calibrated(ranges_of(feeds))))
    assert done.precision == {
        "int8-static": 1,
        "int8-dynamic": 1,
        "int4-weights": 1,
        "float32": 1,
    }
    assert [node.node for node in done.float_nodes] == [NAMES[3]]
    found = ops(made)
    assert (found["QuantizeLinear"], found["DynamicQuantizeLinear"]) == (1, 1)
    assert (found["MatMulNBits"], found["MatMul"]) == (1, 2)
    assert snr_db(expected, run(made, feeds)["y"]) > 15
    check(made)


def test_float16_weights_are_nearly_exact_and_half_the_size() -> None:
    feeds = {"x": normal(2, 9, 64, seed=7)}
    expected = run(chain(), feeds)["y"]
    made = chain()
    blocks = mixed.blocks_of(made.graph, "kind")
    convert(made, Mixture(blocks, dict.fromkeys(blocks, "float16-weights"), Calibrated()))
    halves = [v for v in made.graph.initializers.values() if v.dtype == mixed.ir.DataType.FLOAT16]
    assert len(halves) == 4
    assert snr_db(expected, run(made, feeds)["y"]) > 60
    check(made)


GATED = """(float[t, 48] x) => (float[t, 40] z) {
 n = SimplifiedLayerNormalization <axis = -1, epsilon = 1e-6> (x, g)
 a = MatMul(n, w) l, r = Split <axis = -1, num_outputs = 2> (a)
 e = Gelu <approximate = "none"> (r) m = Mul(l, e) z = MatMul(m, v) }"""
GATED_WEIGHTS = {"w": normal(48, 128), "v": normal(64, 40, seed=1)}


def gated() -> mixed.ir.Model:
    """A gated unit behind a norm, with names; smoothing `m` divides columns of `w`."""
    spread = np.float32(2.0) ** np.linspace(-3, 3, 48, dtype=np.float32)
    made = model(GATED, g=spread, **GATED_WEIGHTS)
    for node in made.graph:
        node.name = f"{node.outputs[0].name}/{node.op_type}"
        if node.outputs[0].name in ("n", "m"):
            node.outputs[0].shape = mixed.ir.Shape(["t", 48 if node.outputs[0].name == "n" else 64])
            node.outputs[0].type = mixed.ir.TensorType(mixed.ir.DataType.FLOAT)
    return made


def test_products_of_a_mixture_are_rounded_by_gptq_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "fused.onnx"
    save_model(gated(), path)
    causes = normal(6, 48, seed=7)
    feeds = [{"x": normal(60, 6, seed=s) @ causes} for s in range(4)]
    calibrated = mixed.calibrate(path, feeds, tmp_path)
    assert set(calibrated.integers) == {"a/MatMul"}
    blocks = {"a": ("a/MatMul",), "z": ("z/MatMul",)}

    def weight(assignment: dict[str, str], given: Calibrated) -> Array:
        made = gated()
        convert(made, Mixture(blocks, assignment, given))
        check(made)
        (found,) = [
            v.const_value
            for name, v in made.graph.initializers.items()
            if name.startswith("w") and name.endswith(".int8")
        ]
        assert found is not None
        return found.numpy()

    alone = weight({"a": "int8-static"}, calibrated)
    np.testing.assert_array_equal(alone, calibrated.integers["a/MatMul"].read())
    both = weight({"a": "int8-static", "z": "int8-static"}, calibrated)
    np.testing.assert_array_equal(both, alone)
    nearest = weight({"a": "int8-static"}, Calibrated(calibrated.ranges))
    assert 0.05 < (nearest != alone).mean() < 0.95


@pytest.mark.parametrize("precision", ["int8-weights", "int4-weights"])
def test_weights_in_blocks_are_rounded_by_gptq(tmp_path: Path, precision: str) -> None:
    """Also where the product behind is in INT8, whose smoothing divides columns of this one."""
    path = tmp_path / "fused.onnx"
    save_model(gated(), path)
    causes = normal(6, 48, seed=7)
    feeds = [{"x": normal(60, 6, seed=s) @ causes} for s in range(4)]
    calibrated = mixed.calibrate(path, feeds, tmp_path)
    plain = Calibrated(calibrated.ranges, calibrated.integers)
    other = {"x": normal(60, 6, seed=9) @ causes}
    expected = run(gated(), other)["z"]
    blocks = {"a": ("a/MatMul",), "z": ("z/MatMul",)}
    for behind, least_db in (("float32", 3.0), ("int8-static", 0.3)):
        found = []
        for given in (plain, calibrated):
            made = gated()
            convert(made, Mixture(blocks, {"a": precision, "z": behind}, given))
            check(made)
            found.append(snr_db(expected, run(made, other)["z"]))
        assert found[1] > found[0] + least_db


def test_without_products_nothing_is_calibrated(tmp_path: Path) -> None:
    save_model(model("(float[n] x) => (float[n] y) { y = Neg(x) }"), tmp_path / "m.onnx")
    assert mixed.calibrate(tmp_path / "m.onnx", [], tmp_path) == Calibrated()


def test_a_block_without_ranges_stays_float_and_says_so() -> None:
    made = chain()
    blocks = mixed.blocks_of(made.graph)
    done = convert(made, Mixture(blocks, {NAMES[0]: "int8-static"}, Calibrated()))
    reasons = {node.node: node.reason for node in done.float_nodes}
    assert reasons[NAMES[0]] == "calibration gave no range for x"
    assert done.precision == {"float32": 4}


def test_the_name_tells_assignments_apart() -> None:
    one, other = {"a": "int8-static", "b": "float32"}, {"a": "float32", "b": "int8-static"}
    assert mixed.name_of(one) == mixed.name_of(dict(reversed(one.items())))
    assert mixed.name_of(one) != mixed.name_of(other)
    assert mixed.recipe_of({}, one, Calibrated()).needs_calibration
    assert not mixed.recipe_of({}, {"a": "int4-weights"}, Calibrated()).needs_calibration


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")
@pytest.mark.usefixtures("native_cache")
def test_a_native_mixture_multiplies_integers_by_the_library_alone() -> None:
    build_library()
    feeds = {"x": normal(2, 9, 64)}
    expected, blocks = run(chain(), feeds)["y"], mixed.blocks_of(chain().graph)
    mixture = dict(zip(NAMES, ("int8-static", "int8-dynamic", "int4-weights"), strict=False))
    recipe = mixed.recipe_of(blocks, mixture, Calibrated(ranges_of(feeds)), native=True)
    assert recipe.name == f"{mixed.name_of(mixture)}-native"
    assert recipe.portable == mixed.name_of(mixture) and recipe.is_native
    made = chain()
    done = convert(made, recipe.precision)
    assert ops(made)["IntegerProduct"] == 2 and ops(made)["MatMulNBits"] == 1
    assert done.precision == {"int8-static": 1, "int8-dynamic": 1, "int4-weights": 1, "float32": 1}
    assert snr_db(expected, run(made, feeds)["y"]) > 15


@pytest.mark.parametrize("external", [False, True])
def test_trials_measure_one_block_alone(tmp_path: Path, external: bool) -> None:
    path = tmp_path / "m.onnx"
    save_model(chain(), path, external=external)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    feeds = [{"x": normal(2, 9, 64, seed=seed)} for seed in range(3)]
    truth = reference_truth(open_artifact(path), feeds)
    blocks = mixed.blocks_of(chain().graph)
    trials = Trials(path, truth, blocks, Calibrated(ranges_of(feeds[0])))
    eight, four = (trials.measure(NAMES[1], f"int{bits}-weights") for bits in (8, 4))
    assert 0 < eight.damage < four.damage / 10
    assert 64 * 64 * 2 < eight.saved_bytes < four.saved_bytes < 64 * 64 * 4
    assert eight.agreement is None and four.agreement is None  # its output is a number
    assert np.isfinite(eight.time_ratio) and eight.time_ratio > 0
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


LOOKUP = """(int64[b, t] ids) => (float[b, t, 32] y) {
 e = Gather <axis = 0> (table, ids) y = MatMul (e, w) }"""


def lookup() -> "mixed.ir.Model":
    made = model(LOOKUP, table=normal(300, 64), w=normal(64, 32, seed=1))
    for node, name in zip(made.graph, ("embedding/Gather_2", "out/MatMul"), strict=True):
        node.name = name
    return made


@pytest.mark.parametrize(
    ("precision", "dtype", "least_db"),
    [("float16-weights", "FLOAT16", 45), ("int8-weights", "INT8", 35)],
)
def test_tables_are_blocks_too(precision: str, dtype: str, least_db: float) -> None:
    feeds = {"ids": np.array([[0, 299, 17, 17]])}
    made = lookup()
    blocks = mixed.blocks_of(made.graph)
    assert blocks == {"embedding/Gather_*": ("embedding/Gather_2",), "out/MatMul": ("out/MatMul",)}
    assert precision in mixed.options_of(made.graph, blocks)["embedding/Gather_*"]
    wanted = {"embedding/Gather_*": precision, "out/MatMul": "int8-dynamic"}
    done = convert(made, Mixture(blocks, wanted, Calibrated()))
    assert not [node for node in done.float_nodes if node.op_type == "Gather"]
    assert any(v.dtype.name == dtype for v in made.graph.initializers.values())
    plain = lookup()
    convert(plain, Mixture(blocks, {"out/MatMul": "int8-dynamic"}, Calibrated()))
    assert snr_db(run(plain, feeds)["y"], run(made, feeds)["y"]) > least_db
    check(made)


def test_heavy_convolutions_of_a_small_codec_stand_alone() -> None:
    text = """(float[b, 32, n] x) => (float[b, 4, k] y) { c = Conv (x, w) y = Conv (c, v) }"""
    made = model(text, w=normal(320, 32, 30), v=normal(4, 320, 2, seed=1))
    for node, name in zip(
        made.graph, ("model.1.block.0/Conv", "model.1.block.1/Conv"), strict=True
    ):
        node.name = name
    assert set(mixed.blocks_of(made.graph, "stage")) == {"model.1"}
    assert set(mixed.blocks_of(made.graph, "node")) == {"model.1.block.0/Conv", "model.1"}


def test_what_decides_the_codes_may_be_stored_in_float16(small_models: Path) -> None:
    """Its weights are rounded, never its arithmetic; integers stay out of it."""
    path = small_models / "codec_encoder.onnx"
    made = load_model(path)
    traits = traits_of(spec_of(made))
    fuse(made, Form.MIXTURE.rules)
    blocks = mixed.blocks_of(made.graph, "node", traits)
    options = mixed.options_of(made.graph, blocks, traits)
    codebooks = [name for name in blocks if name.startswith("quantizer.quantizers.*")]
    assert len(codebooks) == 4
    assert {options[name] for name in codebooks} == {("float32", "float16-weights")}
    four = [name for name, offered in options.items() if "int4-weights" in offered]
    assert four and "encoder.block.2" not in four
    before = weights_bytes(made)
    wanted = dict.fromkeys(codebooks, "float16-weights")
    done = convert(made, Mixture(blocks, wanted, Calibrated()), traits=traits)
    assert done.precision["float16"] == sum(len(blocks[name]) for name in codebooks)
    assert weights_bytes(made) < before - 400_000
