"""Convolutions of one, two and three dimensions say in 8 bits what they said in float32."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.ranges.observers import ChannelRange
from optimize.fusions.order import Form, fuse
from optimize.precision.contract import NO_TRAITS, Conversion, Plan, Precision, traits_of
from optimize.precision.int8 import dynamic as int8_dynamic
from optimize.precision.int8 import static as int8_static
from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.int8.static import StaticInt8
from optimize.precision.npu import NpuInt8
from optimize.precision.shared.plan import _NO_INTEGER_KERNEL
from optimize.precision.weights import weight_only
from optimize.precision.weights.weight_only import WeightOnly
from tests.optimize.graphs import Array, Feeds, check, convert, model, normal, ops, run, runtime_ops
from vampnet_models.spec import spec_of

CHANNELS = 8
BOUND = 0.05
"""Relative RMS of one convolution, or of two in a row, on normal noise."""


@dataclass(frozen=True)
class Kind:
    """A convolution of `n_out` channels: its weight's first axes, its attributes by the rank."""

    n_out: int
    weight: tuple[int, int]
    attributes: Callable[[int], str]
    kernel: int = 3
    op: str = "Conv"


def _pads(begin: int, end: int) -> Callable[[int], str]:
    return lambda rank: f"pads = {[*[begin] * rank, *[end] * rank]}"


KINDS = {
    "plain": Kind(12, (12, 8), _pads(1, 1)),
    "uneven": Kind(12, (12, 8), lambda r: f"{_pads(0, 2)(r)}, dilations = {[2] * r}"),
    "strided": Kind(12, (12, 8), lambda r: f"{_pads(1, 0)(r)}, strides = {[2] * r}"),
    "same": Kind(12, (12, 8), lambda r: f'auto_pad = "SAME_UPPER", strides = {[2] * r}'),
    "depthwise": Kind(8, (8, 1), lambda r: f"group = 8, {_pads(1, 1)(r)}"),
    "multiplied": Kind(16, (16, 1), lambda r: f"group = 8, {_pads(2, 1)(r)}"),
    "grouped": Kind(12, (12, 2), lambda r: f"group = 4, {_pads(1, 1)(r)}"),
    "pointwise": Kind(8, (8, 8), lambda _: "group = 1", kernel=1),
    "up": Kind(
        12,
        (8, 12),
        lambda r: f"strides = {[2] * r}, {_pads(1, 1)(r)}, output_padding = {[1] * r}",
        kernel=4,
        op="ConvTranspose",
    ),
    "up_grouped": Kind(12, (8, 3), lambda r: f"group = 4, strides = {[2] * r}", op="ConvTranspose"),
}


def graph_of(rank: int) -> ir.Model:
    """All kinds side by side, and behind the depthwise one two in a row, the first grouped."""

    def axes(name: str) -> str:
        return ", ".join(f"{name}{i}" for i in range(rank))

    weights = {
        "w_row": normal(8, 2, *(3,) * rank, seed=7) / 8,
        "w_end": normal(4, 8, *(1,) * rank, seed=8) / 4,
    }
    text = ["row = Conv <group = 4> (depthwise, w_row)", "end = Conv (row, w_end)"]
    outputs = [f"float[b, 4, {axes('end')}] end"]
    for seed, (name, kind) in enumerate(KINDS.items()):
        taps = (kind.kernel,) * rank
        # Channels differ in size, so that steps which went to another axis would show.
        spread = np.float32(4.0) ** normal(kind.weight[0], 1, *(1 for _ in taps), seed=seed + 50)
        weights[f"w_{name}"] = spread * normal(*kind.weight, *taps, seed=seed) / 8
        weights[f"b_{name}"] = normal(kind.n_out, seed=seed + 90)
        text.append(f"{name} = {kind.op} <{kind.attributes(rank)}> (x, w_{name}, b_{name})")
        outputs.append(f"float[b, {kind.n_out}, {axes(name)}] {name}")
    text.sort(key=lambda line: line.startswith(("row", "end")))
    source = f"(float[b, {CHANNELS}, {axes('d')}] x) => ({', '.join(outputs)})"
    return model(f"{source} {{ {' '.join(text)} }}", **weights)


def feeds_of(rank: int) -> list[Feeds]:
    """As long as there are channels, and of other lengths; channels differ in size and mean."""
    column = (CHANNELS, *(1 for _ in range(rank)))
    size, mean = np.float32(3.0) ** normal(*column, seed=20), 2 * normal(*column, seed=21)
    lengths = ((CHANNELS,) * rank, (7, 5, 6)[:rank])
    return [{"x": size * normal(2, CHANNELS, *n, seed=22) + mean} for n in lengths]


def ranges_of(
    made: ir.Model, feeds: list[Feeds], names: dict[str, int | None]
) -> dict[str, ChannelRange]:
    """What calibration sees, `[channels]`, or `[1]` for a whole tensor."""
    graph = made.graph
    values = {v.name: v for node in graph for v in node.outputs}
    shown = [values[n] for n in names if n in values and not values[n].is_graph_output()]
    graph.outputs.extend(shown)
    seen = [{**run(made, feed), **feed} for feed in feeds]
    for _ in shown:
        graph.outputs.pop()
    found = {}
    for name, axis in names.items():
        rows = np.concatenate(
            [np.moveaxis(s[name], axis, 0).reshape(s[name].shape[axis], -1) for s in seen]
            if axis is not None
            else [s[name].reshape(1, -1) for s in seen],
            axis=1,
        )
        found[name] = ChannelRange(rows.min(1), rows.max(1), rows.mean(1, dtype=np.float64))
    return found


def static(made: ir.Model, feeds: list[Feeds], signed: bool = False) -> Conversion:
    fuse(made, Form.STATIC.rules)
    names = StaticInt8().plan(made.graph, NO_TRAITS).ranges
    settings = StaticInt8(signed=signed, correct_bias=not signed)
    return convert(made, settings, ranges_of(made, feeds, names))


def dynamic(made: ir.Model, _feeds: list[Feeds]) -> Conversion:
    fuse(made, Form.DYNAMIC.rules)
    return convert(made, DynamicInt8())


def weights(made: ir.Model, _feeds: list[Feeds]) -> Conversion:
    fuse(made, Form.STATIC.rules)
    return convert(made, WeightOnly(bits=8))


def phone(made: ir.Model, feeds: list[Feeds]) -> Conversion:
    names = NpuInt8(8).plan(made.graph, NO_TRAITS).ranges
    return convert(made, NpuInt8(8), ranges_of(made, feeds, names))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "way",
    [
        static,
        pytest.param(partial(static, signed=True), marks=pytest.mark.exact_products),
        dynamic,
        weights,
        phone,
    ],
)
def test_every_kind_says_what_it_said(
    rank: int,
    way: Callable[[ir.Model, list[Feeds]], Conversion],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weight_only, "MIN_ELEMENTS", 1)
    feeds, truth, made = feeds_of(rank), graph_of(rank), graph_of(rank)
    done = way(made, feeds)
    check(made)
    # Kinds and the two in a row. Of two transposed ones, one of one axis has a form as Conv.
    n_integer = {weights: 12, dynamic: 11 if rank == 1 else 10}.get(way, 10)
    assert sum(n for name, n in done.precision.items() if name.endswith("8")) == n_integer
    stored = 12 - n_integer if way in (static, dynamic) else 0
    assert done.precision.get("int8-weights", 0) == stored
    assert {node.reason for node in done.mixed_nodes} <= {int8_dynamic.WEIGHTS_ALONE}
    assert {node.reason for node in done.float_nodes} <= {_NO_INTEGER_KERNEL}
    for feed in feeds:
        expected, found = run(truth, feed), run(made, feed)
        for name, values in expected.items():
            assert found[name].shape == values.shape
            assert error(values, found[name]) < BOUND, name


def test_integer_kernels_run_in_every_rank(tmp_path: Path) -> None:
    for rank in (1, 2, 3):
        fixed, moving = graph_of(rank), graph_of(rank)
        static(fixed, feeds_of(rank))
        dynamic(moving, [])
        assert runtime_ops(fixed, tmp_path)["QLinearConv"] == 10
        assert runtime_ops(moving, tmp_path)["ConvInteger"] >= 10


SNAKE = """(float[b, 8, h, 8] x) => (float[b, 8, h, 8] y) {
 c = Conv <pads = [1, 1, 1, 1]> (x, w, bias)
 a = Mul(alpha, c) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) m = Add(c, z)
 y = Conv <group = 2, pads = [1, 1, 1, 1]> (m, v) }"""


@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (8, 1, 1), (1, 1, 1, 1), (1, 8, 1), (8,)])
def test_a_snake_of_two_dimensions_keeps_its_axis(shape: tuple[int, ...]) -> None:
    """Its alphas lie along channels, or along lengths of the same number."""
    alpha = np.abs(normal(*shape, seed=2)) + np.float32(0.3)
    gains = np.float32(4.0) ** normal(8, 1, 1, 1, seed=5)
    tensors = {
        "alpha": alpha,
        "inverse": 1 / alpha,
        "w": gains * normal(8, 8, 3, 3) / 16,
        "v": normal(8, 4, 3, 3, seed=1) / 8,
        "bias": normal(8, seed=3),
    }
    feeds = [{"x": normal(n, 8, 8, 8, seed=n)} for n in (2, 3)]
    truth, made = model(SNAKE, **tensors), model(SNAKE, **tensors)
    assert static(made, feeds).precision == {"int8": 2}
    per_channel = shape in ((1, 8, 1, 1), (8, 1, 1), (1, 1, 1, 1))
    assert ("Sin" in ops(made)) != per_channel
    for feed in feeds:
        assert error(run(truth, feed)["y"], run(made, feed)["y"]) < BOUND


BIASED = "(float[b, 8, h, 8] x) => (float[b, 8, h, 8] y) { y = Conv <pads=[1,1,1,1]> (x, w, bias) }"
WEIGHT_SIZES = np.array([1, 0, 1e-30, 1e-8, 0, 1, 1e-40, 1e-4], np.float32)
BIASES = np.array([0.1, 100, -50, 1e4, 0, -1e6, 3, 1e5], np.float32)


@pytest.mark.parametrize("group", [1, 8])
def test_a_bias_outlives_weights_of_zero_and_of_nearly_zero(group: int) -> None:
    """Channel by channel: the large ones would hide what is lost in the others."""
    wide = normal(8, 8 // group, 3, 3) * WEIGHT_SIZES.reshape(8, 1, 1, 1)
    text = BIASED.replace("<", f"<group = {group}, ")
    feeds = [{"x": normal(2, 8, n, 8, seed=4)} for n in (8, 5)]
    truth, made = (model(text, w=wide, bias=BIASES) for _ in range(2))
    assert static(made, feeds).precision == {"int8": 1}
    for feed in feeds:
        expected, found = run(truth, feed)["y"], run(made, feed)["y"]
        # A channel's step is at least a 64th of the widest one's, that of 1e6.
        least = 1e6 / 255 / 64
        for channel in range(8):
            whole = np.abs(expected[:, channel]).max()
            worst = np.abs(found[:, channel] - expected[:, channel]).max()
            assert worst <= max(0.01 * whole, least), channel


def test_biases_of_small_channels_are_exact_to_a_step() -> None:
    wide = normal(8, 8, 3, 3) * WEIGHT_SIZES.reshape(8, 1, 1, 1)
    biases = np.clip(BIASES, -2, 2)
    feeds = [{"x": normal(2, 8, 8, 8, seed=4)}]
    for way, steps in ((static, 1.5), (phone, 1.5)):
        truth, made = (model(BIASED, w=wide, bias=biases) for _ in range(2))
        way(made, feeds)
        expected, found = run(truth, feeds[0])["y"], run(made, feeds[0])["y"]
        step = (expected.max() - expected.min()) / 255
        worst = np.abs(found - expected).max(axis=(0, 2, 3))
        assert (worst[WEIGHT_SIZES < 1e-3] < steps * step).all()


def test_a_bias_without_a_number_leaves_its_node_in_float() -> None:
    biases = BIASES.copy()
    biases[3] = np.nan
    made = model(BIASED, w=normal(8, 8, 3, 3), bias=biases)
    seen = ChannelRange(np.full(8, -4, np.float32), np.full(8, 4, np.float32))
    done = convert(made, StaticInt8(), {"x": seen, "y": seen})
    assert [node.reason for node in done.float_nodes] == ["its bias holds NaN or infinity"]


@pytest.mark.parametrize("precision", [DynamicInt8(), WeightOnly(bits=8)])
def test_weights_without_numbers_stay_and_so_do_their_readers(
    precision: Precision[Plan],
) -> None:
    text = """(float[b, 8, n] x) => (float[b, 8, m] y, float[b, 8, k] z) {
     c = Conv (x, bad) r = Relu (c) y = Conv (r, good) z = Conv (x, fine) }"""
    bad = normal(8, 8, 32)
    bad[0, 0, 0], bad[1, 1, 1] = np.nan, np.inf
    made = model(text, bad=bad, good=normal(8, 8, 32), fine=normal(8, 8, 32, seed=1))
    truth = model(text, bad=bad, good=normal(8, 8, 32), fine=normal(8, 8, 32, seed=1))
    done = convert(made, precision)
    assert done.precision == {"int8": 1, "float32": 2}
    assert ["NaN or infinity in a weight" in n.reason for n in done.float_nodes] == [False, True]
    feeds = {"x": normal(1, 8, 80)}
    expected, found = run(truth, feeds), run(made, feeds)
    assert (np.isfinite(expected["y"]) == np.isfinite(found["y"])).all()
    assert error(expected["z"], found["z"]) < BOUND


def test_a_first_convolution_of_one_channel_reads_no_waveform_here() -> None:
    text = """(float[b, 1, n] x) => (float[b, 4, m] y) {
     c = Conv (x, first) r = Relu (c) y = Conv (r, second) }"""
    made = model(text, first=normal(8, 1, 5), second=normal(4, 8, 5))
    traits = traits_of(spec_of(made))
    assert len(int8_static.targets(made.graph, traits).chosen) == 2
    assert len(DynamicInt8().plan(made.graph, traits).chosen) == 2
    assert len(NpuInt8(8).plan(made.graph, traits).chosen) == 2
    feeds = [{"x": normal(2, 1, n, seed=n)} for n in (40, 64)]
    truth = model(text, first=normal(8, 1, 5), second=normal(4, 8, 5))
    assert static(made, feeds).precision == {"int8": 2}
    assert error(run(truth, feeds[0])["y"], run(made, feeds[0])["y"]) < BOUND


def error(expected: Array, found: Array) -> float:
    """Relative RMS."""
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))
