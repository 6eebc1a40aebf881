"""LSTMs in integers by the runtime's own operator, and what of recurrent layers stays."""

from pathlib import Path

import numpy as np
import pytest

from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.weights.weight_only import WeightOnly
from tests.optimize.graphs import Array, convert, model, normal, ops, run, runtime_ops, snr_db

HIDDEN, WIDTH = 32, 40


def lstm(direction: str, extra: str = "", gates: int = 4, op: str = "LSTM") -> str:
    inputs = "float[7, 2, 40] x, int32[2] lens, float[d, 2, 32] h0, float[d, 2, 32] c0"
    return f"""({inputs}) => (float[7, d, 2, 32] y, float[d, 2, 32] h) {{
     y, h = {op} <hidden_size = {HIDDEN}, direction = "{direction}"> (x, w, r, b{extra}) }}"""


def weights(directions: int, gates: int = 4) -> dict[str, Array]:
    return {
        "w": normal(directions, gates * HIDDEN, WIDTH) / 5,
        "r": normal(directions, gates * HIDDEN, HIDDEN, seed=1) / 5,
        "b": normal(directions, 2 * gates * HIDDEN, seed=2) / 5,
    }


def feeds(directions: int) -> dict[str, Array]:
    return {
        "x": normal(7, 2, WIDTH, seed=4),
        "lens": np.array([7, 3], np.int32),
        "h0": normal(directions, 2, HIDDEN, seed=5),
        "c0": normal(directions, 2, HIDDEN, seed=6),
    }


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("extra", ["", ", lens, h0, c0", ", , , , p"])
def test_an_lstm_runs_in_integers(tmp_path: Path, direction: str, extra: str) -> None:
    directions = 2 if direction == "bidirectional" else 1
    given = weights(directions)
    if "p" in extra:
        given["p"] = normal(directions, 3 * HIDDEN, seed=3)
    text, fed = lstm(direction, extra), feeds(directions)
    expected = run(model(text, **given), fed)
    made = model(text, **given)
    assert convert(made, DynamicInt8()).precision == {"int8": 1}
    assert runtime_ops(made, tmp_path)["DynamicQuantizeLSTM"] == 1
    found = run(made, fed)
    for name in ("y", "h"):
        assert found[name].shape == expected[name].shape
        assert snr_db(expected[name], found[name]) > 25
    n_bytes = sum(v.const_value.nbytes for v in made.graph.initializers.values())
    assert n_bytes < 0.45 * sum(array.nbytes for array in given.values())


def test_activations_and_clipping_stay_those_of_the_lstm() -> None:
    text = lstm("forward").replace(
        "hidden_size", 'clip = 0.5, activations = ["Tanh", "Sigmoid", "Relu"], hidden_size'
    )
    expected = run(model(text, **weights(1)), feeds(1))["y"]
    made = model(text, **weights(1))
    convert(made, DynamicInt8())
    assert snr_db(expected, run(made, feeds(1))["y"]) > 20


@pytest.mark.parametrize(("op", "gates"), [("GRU", 3), ("RNN", 1)])
def test_gru_and_rnn_stay_float_in_dynamic_int8_and_say_so(op: str, gates: int) -> None:
    made = model(lstm("forward", op=op), **weights(1, gates))
    done = convert(made, DynamicInt8())
    assert done.precision == {"float32": 1}
    assert [n.reason for n in done.float_nodes] == [
        f"the runtime has no integer kernel for {op}, only for LSTM"
    ]


def test_an_lstm_that_no_kernel_takes_stays_with_the_reason() -> None:
    text = """(float[2, 7, 40] x) => (float[2, 7, d, 32] y) {
     y = LSTM <hidden_size = 32, layout = 1> (x, w, r, b) }"""
    done = convert(model(text, **weights(1)), DynamicInt8())
    assert "its batch comes first" in done.float_nodes[0].reason
    text = lstm("forward").replace("int32[2] lens", "int32[2] lens, float[d, 128, 32] r")
    given = weights(1)
    del given["r"]
    done = convert(model(text, **given), DynamicInt8())
    assert done.float_nodes[0].reason == "not both of its weights are float32 constants"


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("bits", [8, 4])
def test_weights_alone_are_taken_for_every_recurrent_layer(op: str, gates: int, bits: int) -> None:
    text, given = lstm("bidirectional", op=op), weights(2, gates)
    expected = run(model(text, **given), feeds(2))["y"]
    made = model(text, **given)
    done = convert(made, WeightOnly(8 if bits == 8 else 4))
    assert done.precision == {"int8": 1}
    assert [node.precision for node in done.mixed_nodes] == (["int8"] if bits == 4 else [])
    assert ops(made)[op] == 1
    assert snr_db(expected, run(made, feeds(2))["y"]) > 30
