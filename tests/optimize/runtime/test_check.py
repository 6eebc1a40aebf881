import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.build import build_variant
from optimize.precision.int8 import conv_exclusions
from optimize.recipes import find_recipe
from optimize.runtime import check as runtime_check
from optimize.runtime.check import missed_promise, missed_share, read_back, with_runtime
from optimize.runtime.kernels import Origins, plain_name, runtime_graph
from optimize.variant import read_record, record_path, write_record
from tests.optimize.fusions.test_order import feeds_of
from tests.optimize.graphs import Array, model, normal
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact, save_model
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import CalibrationFacts, FloatNode, SourceFacts, VariantRecord

X86 = platform.machine().lower() in ("x86_64", "amd64")
ROWS, WIDTH = 6, 64
SHAPES = {"x": (1, ROWS, WIDTH)}
FLOPS = 2 * ROWS * WIDTH * WIDTH

QDQ = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) wd = DequantizeLinear<axis = 1>(w, ws)
 h = MatMul(d, wd) hq = QuantizeLinear(h, s, z) y = DequantizeLinear(hq, s, z) }"""
QDQ_UP = """(float[1, 64, t] x) => (float[1, 64, u] y) {
 q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) wd = DequantizeLinear<axis = 1>(w, ws)
 h = ConvTranspose<strides = [2]>(d, wd) hq = QuantizeLinear(h, s, z)
 y = DequantizeLinear(hq, s, z) }"""
QDQ_TWICE = """(float[1, 64, t] x) => (float[1, 64, t] y, float[1, 64, t] g) {
 q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) wd = DequantizeLinear<axis = 0>(w, ws)
 h = Conv(d, wd) hq = QuantizeLinear(h, s, z) y = DequantizeLinear(hq, s, z)
 e = DequantizeLinear(q, s, z) g = Sin(e) }"""
WEIGHTS = """(float[1, 64, t] x) => (float[1, 64, t] y) {
 wd = DequantizeLinear<axis = 0>(w, ws) y = Conv(x, wd) }"""
HALF = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 h = Cast<to = 10>(x) m = MatMul(h, w) g = Mul(m, m) y = Cast<to = 1>(g) }"""
FLOAT = "(float[b, t, 64] x) => (float[b, t, 64] y) { y = MatMul(x, w) }"


@pytest.fixture(autouse=True)
def few_channels_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """These graphs are smaller than any for which the integer kernels pay."""
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)


def artifact(folder: Path, text: str, **weights: Array) -> Artifact:
    save_model(model(text, **weights), folder / "m.onnx")
    return open_artifact(folder / "m.onnx")


def quantized(
    folder: Path, text: str, zero: np.generic, *, kernel: tuple[int, ...] = ()
) -> Artifact:
    values = np.random.default_rng(0).integers(-127, 127, (WIDTH, WIDTH, *kernel)).astype(np.int8)
    scales = np.full(WIDTH, 0.01, np.float32)
    return artifact(folder, text, s=np.float32(0.05), z=np.array(zero), w=values, ws=scales)


def only_float(facts: RuntimeFacts) -> str:
    (group,) = facts.float_kernels
    assert facts.integer_flops == 0
    assert facts.float_flops == group.flops > 0
    return group.reason


def test_unsigned_qdq_becomes_an_integer_kernel(tmp_path: Path) -> None:
    made = quantized(tmp_path, QDQ, np.uint8(128))
    facts = read_back(made, {}, SHAPES)
    assert facts.kernels == {"QLinearMatMul": 1}
    assert (facts.integer_share, facts.integer_flops, facts.float_flops) == (1.0, FLOPS, 0)
    assert (facts.dequantized.in_kernels, facts.dequantized.each_run) == (1, 0)
    assert facts.dequantized.activations == 1
    assert facts.unmapped == facts.unresolved == facts.float_kernels == ()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.skipif(not X86, reason="only on x86 does the runtime refuse signed activations")
def test_signed_activations_stay_float_and_say_so(tmp_path: Path) -> None:
    made = quantized(tmp_path, QDQ_TWICE, np.int8(0), kernel=(1,))
    facts = read_back(made, {}, {"x": (1, WIDTH, ROWS)})
    assert facts.kernels == {}
    assert only_float(facts).startswith("signed 8-bit activations")
    assert facts.float_kernels[0].nodes == ("conv_3",)
    assert facts.dequantized.each_run == 1
    unsigned = quantized(tmp_path, QDQ_TWICE, np.uint8(128), kernel=(1,))
    assert read_back(unsigned, {}, {"x": (1, WIDTH, ROWS)}).kernels == {"QLinearConv": 1}


def test_sixteen_bit_activations_stay_float(tmp_path: Path) -> None:
    facts = read_back(quantized(tmp_path, QDQ, np.uint16(2**15)), {}, SHAPES)
    assert only_float(facts).startswith("16-bit activations")


def test_a_transposed_convolution_stays_float(tmp_path: Path) -> None:
    made = quantized(tmp_path, QDQ_UP, np.uint8(128), kernel=(4,))
    facts = read_back(made, {}, {"x": (1, WIDTH, 10)})
    assert only_float(facts) == "the runtime has no integer kernel for ConvTranspose"
    assert facts.float_flops == 2 * 10 * WIDTH * WIDTH * 4


def test_weights_alone_are_unpacked_in_each_run_or_once(tmp_path: Path) -> None:
    made = quantized(tmp_path, WEIGHTS, np.uint8(128), kernel=(1,))
    shapes = {"x": (1, WIDTH, ROWS)}
    each = read_back(made, {}, shapes)
    assert only_float(each).endswith("unpacked to float32 in every run")
    assert (each.dequantized.each_run, each.dequantized.folded) == (1, 0)
    once = read_back(made, {}, shapes, {"session.disable_quant_qdq": "1"})
    assert only_float(once) == "its integer weights were unpacked to float32 at load"
    assert (once.dequantized.each_run, once.dequantized.folded) == (0, 1)
    assert once.dequantized.folded_bytes == 4 * WIDTH * WIDTH
    assert once.runtime_weights_bytes > 3 * each.runtime_weights_bytes


def test_float16_is_upcast_on_the_cpu(tmp_path: Path) -> None:
    made = artifact(tmp_path, HALF, w=normal(WIDTH, WIDTH).astype(np.float16))
    facts = read_back(made, {}, SHAPES)
    assert only_float(facts) == "float16, which this provider computes in float32"
    assert facts.upcast.nodes == 2
    assert facts.runtime_weights_bytes == 2 * facts.weights_bytes


def test_attention_is_counted_apart_and_named(tmp_path: Path) -> None:
    text = """(float[b, t, 64] x) => (float[b, t, 64] y) {
     q = MatMul(x, w) y = com.microsoft.MultiHeadAttention<num_heads = 4>(q, x, x) }"""
    facts = read_back(artifact(tmp_path, text, w=normal(WIDTH, WIDTH)), {}, SHAPES)
    assert facts.attention == {"MultiHeadAttention": 1}
    assert facts.attention_flops == 4 * ROWS * ROWS * WIDTH
    assert facts.float_flops == FLOPS


def test_a_product_of_unknown_shape_is_listed_and_not_weighed(tmp_path: Path) -> None:
    text = """(float[b, t, 64] x) => (float[n, 64] y) {
     i = NonZero(x) c = Cast<to = 1>(i) t = Transpose(c) y = MatMul(t, w) }"""
    facts = read_back(artifact(tmp_path, text, w=normal(3, WIDTH)), {}, SHAPES)
    assert facts.unresolved == ("matmul_3",)
    assert facts.integer_share is None


@pytest.mark.parametrize(
    ("name", "recipe", "kernels", "least_share"),
    [
        ("coarse", "int8-dynamic", ("DynamicQuantizeMatMul", "MatMulIntegerToFloat"), 0.95),
        ("c2f", "int8-static", ("MatMulIntegerToFloat",), 0.3),
        ("codec_encoder", "int8-static", ("QLinearConv",), 0.5),
    ],
)
def test_whole_models_run_in_integers(
    name: str,
    recipe: str,
    kernels: tuple[str, ...],
    least_share: float,
    small_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = open_artifact(small_models / f"{name}.onnx")
    feeds = FeedSet(source.role, (feeds_of(name, 20),), (FeedLabel("noise"),), "noise", "given")
    made = build_variant(source, find_recipe(recipe), tmp_path / "v.onnx", calibration=feeds)
    assert (made.record.runtime_checked, made.record.runtime) == (False, None)
    record = with_runtime(open_artifact(made.path), made.record)
    facts = record.runtime
    assert facts is not None
    assert record.runtime_checked
    assert sum(facts.kernels[each] for each in kernels) >= made.record.precision["int8"]
    assert facts.integer_share is not None
    assert facts.integer_share > least_share
    assert bool(facts.attention) == (name != "codec_encoder")
    assert facts.unlisted == facts.unmapped == facts.unresolved == ()
    assert missed_promise(record) is None
    assert read_record(record_path(made.path)) == record
    # A record that is complete is not made again.
    monkeypatch.setattr(runtime_check, "read_back", None)
    assert with_runtime(open_artifact(made.path), record) == record
    assert build_variant(source, find_recipe(recipe), made.path, calibration=feeds).record == record


def record_of(made: Artifact, recipe: str = "int8-static", *floats: FloatNode) -> VariantRecord:
    record = VariantRecord(
        recipe=recipe,
        role="generic",
        model=made.path.name,
        bytes=made.bytes,
        sha256=made.sha256,
        source=SourceFacts("m.onnx", 1, "a"),
        calibration=None,
        versions={},
        fusions={},
        unmatched=(),
        precision={"int8": 1},
        float_nodes=floats,
    )
    write_record(record, record_path(made.path))
    return record


def test_a_name_that_promises_what_the_graph_does_not_hold(tmp_path: Path) -> None:
    made = artifact(tmp_path, FLOAT, w=normal(WIDTH, WIDTH))
    broken = with_runtime(made, record_of(made), SHAPES)
    reason = missed_promise(broken)
    assert reason is not None
    assert reason.startswith("int8-static promises 95% of the MatMul and Conv FLOPs")
    assert (
        "the runtime has 0.0%, and 1 kernels in float without one, first MatMul matmul_0" in reason
    )
    listed = record_of(made, "int8-static", FloatNode("matmul_0", "MatMul", "the head"))
    kept = with_runtime(made, listed, SHAPES)
    assert missed_promise(kept) is None
    assert kept.runtime is not None
    assert [(g.reason, g.listed) for g in kept.runtime.float_kernels] == [("the head", True)]
    promised_nothing = with_runtime(made, record_of(made, "fp16"), SHAPES)
    assert missed_promise(promised_nothing) is None


def test_a_small_float_rest_keeps_the_promise(tmp_path: Path) -> None:
    made = artifact(tmp_path, FLOAT, w=normal(WIDTH, WIDTH))
    record = with_runtime(made, record_of(made), SHAPES)
    assert record.runtime is not None
    rest = replace(record.runtime, integer_share=0.95)
    assert missed_promise(replace(record, runtime=rest)) is None
    hidden = replace(rest, unresolved=("other",))
    assert missed_promise(replace(record, runtime=hidden)) is not None
    with pytest.raises(ValueError, match="was not checked"):
        missed_promise(replace(record, runtime=None))


def test_a_record_of_another_file_is_refused(tmp_path: Path) -> None:
    made = artifact(tmp_path, FLOAT, w=normal(WIDTH, WIDTH))
    record = replace(record_of(made), sha256="other")
    with pytest.raises(InputError, match="describes another file"):
        with_runtime(made, record)


def test_weights_stay_out_of_the_graph_file_and_the_folder_goes(tmp_path: Path) -> None:
    made = artifact(tmp_path, FLOAT, w=normal(WIDTH, WIDTH))
    with pytest.raises(RuntimeError, match="stop"), runtime_graph(made) as found:
        (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
        assert (folder / "graph.onnx").stat().st_size < 1000
        assert (folder / "graph.weights").stat().st_size == 4 * WIDTH * WIDTH
        assert found.bytes == sum(file.stat().st_size for file in folder.iterdir())
        assert isinstance(found.model.graph.initializers["w"].const_value, ir.ExternalTensor)
        raise RuntimeError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_too_little_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(artifact(tmp_path, FLOAT, w=normal(WIDTH, WIDTH)), bytes=10**18)
    monkeypatch.setattr("optimize.runtime.kernels.open_session", None)
    with pytest.raises(InputError, match="GB are free"), runtime_graph(made):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_kernels_are_mapped_by_name_then_by_weight() -> None:
    variant = model(
        """(float[4, 64] x) => (float[4, 64] y) {
         a = MatMul(x, v) b = MatMul(a, w) c = MatMul(b, u) y = MatMul(c, u) }""",
        v=normal(64, 64),
        w=normal(64, 64),
        u=normal(64, 64),
    )
    first, second, third, _ = variant.graph
    optimized = model(
        """(float[4, 64] x) => (float[4, 64] y) {
         a = MatMul(x, v) b = MatMul(a, w) y = MatMul(b, u) }""",
        v=normal(64, 64),
        w=normal(64, 64),
        u=normal(64, 64),
    )
    named, renamed, unknown = optimized.graph
    named.name, renamed.name, unknown.name = f"{first.name}_token_7", "made up", "made up too"
    optimized.graph.initializers["w"].name = "FusedBack_w"
    origins = Origins(variant.graph)
    assert origins.of(named) is first
    assert origins.of(renamed) is second
    assert origins.of(unknown) is None
    assert plain_name("InsertedPrecisionFreeCast_a/MatMulScaleFusion/") == "a"
    assert third.name == "matmul_2"


@pytest.mark.parametrize(
    ("recipe", "settings", "taken", "said"),
    [
        ("int4-mixed", {"share": "0.22"}, 221, "int4-mixed promises 22% of the source's bytes: it"),
        ("int4-mixed", {}, 221, "int4-mixed promises 22% of the source's bytes: it takes 22.1%"),
        ("int4-mixed", {"share": "0.22"}, 220, None),
        ("int4-mixed-0.18", {"share": "0.18"}, 181, "int4-mixed-0.18 promises 18% of the source's"),
        ("int4-mixed-0.18", {"share": "0.18"}, 180, None),
        ("int4-mixed-0.3", {"share": "0.3"}, 290, None),
        ("int4-weights", {}, 900, None),
    ],
)
def test_a_share_of_bytes_is_held_to_what_was_asked_for(
    recipe: str, settings: dict[str, str], taken: int, said: str | None
) -> None:
    record = VariantRecord(
        recipe=recipe,
        role="generic",
        model="m.onnx",
        bytes=taken,
        sha256="",
        source=SourceFacts("m.onnx", 1000, ""),
        calibration=CalibrationFacts("", 1, "", settings=settings),
        versions={},
        fusions={},
        unmatched=(),
        precision={},
        float_nodes=(),
    )
    found = missed_share(record)
    assert found is None if said is None else found is not None and found.startswith(said)
