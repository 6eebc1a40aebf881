"""Convolutions of the optional library: which become its own, and what they answer."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from optimize.fusions.codec import native_snake
from optimize.fusions.codec.native_conv import RULE
from optimize.fusions.order import finished
from optimize.fusions.rule import apply
from optimize.surgery.dimensions import dimensions
from tests.optimize.graphs import Array, model, normal, ops, run, snr_db
from tests.optimize.native_kernels import answers_by, by, needs_compiler
from vampnet_models.onnxfile.operators import NATIVE_CONV
from vampnet_models.shapes.flops import flops_of
from vampnet_models.shapes.tensor_shapes import infer_shapes as shapes_of

pytestmark = pytest.mark.usefixtures("native_cache")

PLAIN = "(float[b, 5, n] x) => (float[b, o, m] y) { y = Conv <OPTIONS> (x, w, c) }"
UNIT = """(float[b, 5, n] x) => (float[b, 5, n] y) {
 a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) k = Add(x, z)
 h = Conv <pads = [6, 6], dilations = [2]> (k, w, c) y = Add(x, h) }"""
UNIT_PARTS = {
    "alpha": np.abs(normal(1, 5, 1)) + np.float32(0.2),
    "inverse": np.abs(normal(1, 5, 1, seed=1)),
    "w": normal(5, 5, 7, seed=2),
    "c": normal(5, seed=3),
}
"""Half of a residual unit: a Snake, a convolution that keeps the length, and the sum."""

FORMS = (
    ("Conv", "pads = [3, 3]", (19, 5, 7)),
    ("Conv", "pads = [27, 27], dilations = [9]", (8, 5, 7)),
    ("Conv", "pads = [2, 1], strides = [2]", (9, 5, 4)),
    ("Conv", "pads = [4, 4], strides = [8], dilations = [3]", (16, 5, 5)),
    ("Conv", "pads = [0, 0]", (1, 5, 1)),
    ("ConvTranspose", "strides = [4], pads = [2, 2]", (5, 3, 8)),
    ("ConvTranspose", "strides = [3], pads = [2, 1], output_padding = [1]", (5, 6, 5)),
    ("ConvTranspose", "strides = [2]", (5, 4, 1)),
)
"""Convolutions of 5 channels: operator, options, and the shape of the weight."""


def converted(text: str, **weights: Array) -> ir.Model:
    """With Snakes and convolutions of the library; each candidate must fit."""
    made = model(text, **weights)
    fusion = finished(made, (native_snake.RULE, RULE))
    assert not fusion.unmatched
    return made


@needs_compiler
@pytest.mark.parametrize("kernels", ["", "avx2", "portable"])
@pytest.mark.parametrize(("n_batch", "length"), [(1, 61), (2, 1000)])
def test_convolutions_answer_as_the_runtimes(
    kernels: str, n_batch: int, length: int, tmp_path: Path
) -> None:
    """All of them in one model, since each takes a process."""
    weights, lines, names = {}, [], []
    for index, (operator, options, shape) in enumerate(FORMS):
        channels = shape[1 if operator == "ConvTranspose" else 0]
        weights[f"w{index}"], weights[f"c{index}"] = normal(*shape), normal(channels, seed=2)
        lines.append(f"y{index} = {operator} <{options}> (x, w{index}, c{index})")
        names.append(f"float[b, o{index}, m{index}] y{index}")
    text = f"(float[b, 5, n] x) => ({', '.join(names)}) {{ {' '.join(lines)} }}"
    made = converted(text, **weights)
    assert ops(made) == {NATIVE_CONV: len(FORMS)}
    x = normal(n_batch, 5, length)
    found = answers_by(kernels, made, tmp_path, x=x)
    for name, expected in run(model(text, **weights), {"x": x}).items():
        assert found[name].shape == expected.shape
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("kernels", ["", "avx2", "portable"])
def test_the_snake_before_it_and_the_sum_behind_it_join(kernels: str, tmp_path: Path) -> None:
    x = normal(2, 5, 700)
    made = converted(UNIT, **UNIT_PARTS)
    assert ops(made) == {NATIVE_CONV: 1}
    expected = run(model(UNIT, **UNIT_PARTS), {"x": x})["y"]
    np.testing.assert_allclose(by(kernels, made, tmp_path, x=x), expected, rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("stored", ["int8", "float16", "bfloat16"])
def test_weights_stay_in_the_type_that_they_are_stored_in(stored: str, tmp_path: Path) -> None:
    head = "(float[b, 5, n] x) => (float[b, 19, m] y) {"
    parts: dict[str, Array] = {"c": normal(19)}
    if stored == "int8":
        text = f"{head} f = DequantizeLinear <axis = 0> (w, s) y = Conv (x, f, c) }}"
        parts["w"] = np.random.default_rng(1).integers(-127, 128, (19, 5, 3), np.int8)
        parts["s"] = np.abs(normal(19, seed=2)) + np.float32(0.01)
    else:
        text = f"{head} f = Cast <to = 1> (w) y = Conv (x, f, c) }}"
        parts["w"] = normal(19, 5, 3).astype(getattr(ml_dtypes, stored, stored))
    made = converted(text, **parts)
    assert ops(made) == {"Cast": 1, NATIVE_CONV: 1}
    (cast,) = (node for node in made.graph if node.op_type == "Cast")
    packed = cast.inputs[0]
    assert packed is not None and packed.const_value is not None
    assert packed.const_value.dtype.name.lower() == stored
    assert "w" not in made.graph.initializers
    x = normal(1, 5, 300)
    expected = run(model(text, **parts), {"x": x})["y"]
    assert snr_db(expected, by("", made, tmp_path, x=x)) > 100


def test_the_name_stays_for_what_was_said_of_it() -> None:
    made = converted(UNIT, **UNIT_PARTS)
    (node,) = made.graph
    assert node.name == "conv_5"


def test_its_shape_and_arithmetic_are_known() -> None:
    parts = {"w": normal(9, 5, 4), "c": normal(9)}
    text = PLAIN.replace("OPTIONS", "pads = [2, 1], strides = [2]")
    made = converted(text, **parts)
    tensors = shapes_of(made, {"x": (2, 5, 101)}).tensors
    assert tensors["y"].shape == (2, 9, 51)
    (node,) = made.graph
    inputs = [tensors[value.name].shape for value in node.inputs if value is not None]
    assert flops_of(NATIVE_CONV, inputs, [(2, 9, 51)]) == 2 * (2 * 9 * 51) * 5 * 4


def test_a_length_that_it_keeps_is_known() -> None:
    made = converted(UNIT.replace("y = Add(x, h)", "y = Identity(h)"), **UNIT_PARTS)
    known = dimensions(made.graph)
    (made_value,) = made.graph.outputs
    assert known.of(made_value) == known.of(made.graph.inputs[0])


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("y = Add(x, h)", "y = Add(v, h)"),  # broadcast
        ("[6, 6]", "[6, 5]"),  # another length
        ("y = Add(x, h)", "g = Relu(h) y = Add(g, h)"),  # read twice
    ],
)
def test_other_sums_stay_behind_it(part: str, other: str) -> None:
    text = UNIT.replace(part, other).replace("float[b, 5, n] y", "float[b, 5, m] y")
    made = converted(text, **UNIT_PARTS, **({"v": normal(1, 5, 1)} if "v" in other else {}))
    assert ops(made)["Add"] == 1 and ops(made)[NATIVE_CONV] == 1


def test_a_snake_that_others_read_stays_before_it() -> None:
    text = UNIT.replace("y = Add(x, h)", "y = Add(k, h)")
    assert ops(converted(text, **UNIT_PARTS)) == {"Snake": 1, NATIVE_CONV: 1}


@pytest.mark.parametrize(
    ("options", "shape", "reason"),
    [
        ("group = 5", (5, 1, 3), "grouped"),
        ("auto_pad = 'SAME_UPPER'", (5, 5, 3), "auto_pad"),
        ("pads = [-1, 0]", (5, 5, 3), "padding is negative"),
    ],
)
def test_other_convolutions_are_left_with_the_reason(
    options: str, shape: tuple[int, ...], reason: str
) -> None:
    text = PLAIN.replace("OPTIONS", options.replace("'", '"'))
    made = model(text, w=normal(*shape), c=normal(5))
    count, (unmatched,) = apply(RULE, made.graph)
    assert (count, ops(made)) == (0, {"Conv": 1})
    assert reason in unmatched.reason
