import numpy as np
import pytest

from calibration.ranges.observers import Range
from optimize.precision import npu
from optimize.precision.contract import NO_TRAITS
from optimize.precision.npu import NpuInt8
from tests.optimize.graphs import check, convert, model, normal, ops, run, snr_db

PRODUCT = "(float[r,64] x) => (float[r,48] y) { m = MatMul(x, w) y = Add(m, b) }"
CONV = "(float[1,32,t] x) => (float[1,40,t] y) { y = Conv<pads=[1,1]>(x, w, b) }"


def ranges_of(made, bits, feeds):
    seen = {"x": feeds["x"], **run(made, feeds)}
    names = NpuInt8(bits).plan(made.graph, NO_TRAITS).ranges
    return {n: Range(float(seen[n].min()), float(seen[n].max())) for n in names if n in seen}


@pytest.mark.parametrize(("bits", "least_db"), [(8, 30.0), (16, 40.0)])
def test_a_convolution_gets_pairs_on_both_sides_and_an_integer_bias(bits, least_db):
    made = model(CONV, w=normal(40, 32, 3), b=normal(40, seed=1))
    feeds = {"x": normal(1, 32, 50, seed=2)}
    expected = run(made, feeds)["y"]
    done = convert(made, NpuInt8(bits), ranges_of(made, bits, feeds))
    assert done.precision == {f"a{bits}w8": 1}
    assert ops(made) == {"QuantizeLinear": 2, "DequantizeLinear": 4, "Conv": 1}
    check(made)
    found = run(made, feeds)
    assert set(found) == {"y"}
    assert snr_db(expected, found["y"]) > least_db


def test_activations_are_stored_in_the_bits_that_the_name_says():
    for bits, stored_as in ((8, np.uint8), (16, np.uint16)):
        made = model(PRODUCT, w=normal(64, 48), b=normal(48, seed=1))
        ranges = {
            name: Range(-4.0, 4.0) for name in NpuInt8(bits).plan(made.graph, NO_TRAITS).ranges
        }
        convert(made, NpuInt8(bits), ranges)
        zeros = made.graph.initializers["x/in.zero"].const_value.numpy()
        assert zeros.dtype == stored_as
        assert "w" not in made.graph.initializers


def test_sixteen_bits_leave_only_the_weights_rounding():
    made = model(PRODUCT, w=normal(64, 48), b=np.zeros(48, np.float32))
    feeds = {"x": normal(20, 64, seed=2)}
    expected = run(made, feeds)["y"]
    observed = NpuInt8(16).plan(made.graph, NO_TRAITS).ranges
    ranges = {name: Range(float(-60), float(60)) for name in observed}
    convert(made, NpuInt8(16), ranges)
    assert snr_db(expected, run(made, feeds)["y"]) > 35


def test_a_node_without_ranges_stays_and_says_so():
    made = model(PRODUCT, w=normal(64, 48), b=normal(48, seed=1))
    done = convert(made, NpuInt8(8), {})
    assert done.precision == {"float32": 1}
    assert "MatMul" in {node.op_type for node in done.float_nodes}
    assert "QuantizeLinear" not in ops(made)


def test_a_head_stays_float_in_eight_bits_alone():
    text = (
        "(float[1,t,64] x) => (int64[1,t] y) { m = MatMul(x, w) y = ArgMax<axis=2,keepdims=0>(m) }"
    )
    made = model(text, w=normal(64, 48))
    assert not NpuInt8(8).plan(made.graph, NO_TRAITS).chosen
    assert "the head" in NpuInt8(8).plan(made.graph, NO_TRAITS).left[0].reason
    assert len(NpuInt8(16).plan(made.graph, NO_TRAITS).chosen) == 1


def test_steps_hold_zero_and_the_range():
    scale, zero = npu.step_of(-1.0, 3.0, 16)
    assert scale == pytest.approx(4 / 65535)
    assert zero == round(65535 / 4)
    assert npu.step_of(2.0, 3.0, 8)[1] == 0
