from dataclasses import replace

import numpy as np

from optimize.precision.contract import NO_TRAITS, Traits, traits_of
from optimize.precision.shared.plan import (
    code_path,
    family_exclusions,
    heads,
    plan,
    single_channel_ends,
    table_lookups,
)
from tests.optimize.graphs import model, normal
from vampnet_models.spec import ModelSpec, Part, Role

ENCODER = Traits(is_family=True, decides_codes=True, has_waveform=True)

SEARCH = """(float[b, 1, n] x) => (int64[b, f] codes) {
 first = Conv <kernel_shape = [3], pads = [1, 1]> (x, w0)
 wide = Conv (first, w1) low = Conv (wide, w2)
 rows = Transpose <perm = [0, 2, 1]> (low) dots = MatMul(rows, book)
 codes = ArgMax <axis = -1, keepdims = 0> (dots) }"""
WEIGHTS = {
    "w0": normal(32, 1, 3),
    "w1": normal(48, 32, 1),
    "w2": normal(8, 48, 1),
    "book": normal(8, 64),
}


def test_the_nearest_row_search_is_the_code_path_and_wide_weights_end_it() -> None:
    made = model(SEARCH, **WEIGHTS)
    names = {node.outputs[0].name for node in code_path(made.graph, ENCODER)}
    assert names == {"codes", "dots", "rows", "low"}


def test_rules_of_the_codec_judge_no_other_model() -> None:
    made = model(SEARCH, **WEIGHTS)
    assert set(family_exclusions(made.graph, ENCODER))
    assert family_exclusions(made.graph, NO_TRAITS) == {}
    for role, parts in ((Role.GENERIC, None), (Role.GENERIC, Part.ENCODER), (Role.BEATS, None)):
        traits = traits_of(ModelSpec(role, (), (), 21, parts))
        assert traits.has_waveform == (parts is not None or role is Role.BEATS)


def test_feeds_of_ones_own_went_through_no_chain() -> None:
    spec = ModelSpec(Role.COARSE, (), (), 21)
    assert traits_of(spec).is_calibrated_on_audio
    assert traits_of(spec, given=True) == replace(traits_of(spec), is_calibrated_on_audio=False)
    assert traits_of(replace(spec, role=Role.GENERIC), given=True) == NO_TRAITS


def test_a_classifier_is_no_code_path_but_a_head() -> None:
    text = """(float[b, t, 32] x) => (int64[b, t] y, float[b, t, 64] logits) {
     h = MatMul(x, w0) a = Gelu(h) l = MatMul(a, w1) logits = Add(l, bias)
     y = ArgMax <axis = -1, keepdims = 0> (logits) }"""
    made = model(text, w0=normal(32, 32), w1=normal(32, 64), bias=normal(64))
    assert code_path(made.graph, ENCODER) == {}
    assert [node.outputs[0].name for node in heads(made.graph)] == ["l"]


def test_the_ends_are_convolutions_from_and_to_one_channel() -> None:
    text = """(float[b, 1, n] x) => (float[b, 1, m] y) {
     a = Conv (x, w0) b0 = Conv (a, w1) y = ConvTranspose (b0, w2) }"""
    made = model(text, w0=normal(4, 1, 3), w1=normal(5, 4, 3), w2=normal(5, 1, 3))
    found = {
        node.outputs[0].name: reason
        for node, reason in single_channel_ends(made.graph, ENCODER).items()
    }
    assert set(found) == {"a", "y"}
    assert "first" in found["a"]
    assert "last" in found["y"]


def test_every_heavy_node_is_chosen_or_left_with_a_reason() -> None:
    text = """(float[b, t, 8] x) => (float[b, t, 8] y) {
     a = MatMul(x, w) k = Transpose <perm = [0, 2, 1]> (a) s = MatMul(a, k)
     p = Softmax(s) y = MatMul(p, x) }"""
    made = model(text, w=normal(8, 8))
    found = plan(made.graph, ("MatMul",), {})
    assert [node.outputs[0].name for node in found.chosen] == ["a"]
    reasons = [(node.op_type, node.reason) for node in found.left]
    assert reasons == [
        ("MatMul", "both operands are activations"),
        ("Softmax", "the runtime has no integer kernel for it"),
        ("MatMul", "both operands are activations"),
    ]


def test_positions_times_frequencies_stay_float() -> None:
    text = "(float[n, 1] p) => (float[n, 16] y) { a = MatMul(p, f) s = Sin(a) y = MatMul(s, w) }"
    made = model(text, f=normal(1, 16), w=normal(16, 16))
    found = plan(made.graph, ("MatMul",), {})
    assert [node.outputs[0].name for node in found.chosen] == ["y"]
    assert "as positions" in found.left[0].reason


def test_weights_that_are_no_float32_say_what_they_are() -> None:
    text = """(float[b, t, 32] x, float16[b, t, 32] h) => (float[b, t, 32] y, float16[b, t, 32] z) {
     d = DequantizeLinear(q, scale) y = MatMul(x, d) z = MatMul(h, w) }"""
    made = model(
        text,
        q=np.ones((32, 32), np.int8),
        scale=np.float32(0.5),
        w=normal(32, 32).astype(np.float16),
    )
    found = plan(made.graph, ("MatMul",), {})
    assert [node.reason for node in found.left] == [
        "its weight is quantized already",
        "its weight is float16, not float32",
    ]


def test_small_weights_and_tables_are_left_with_their_size() -> None:
    text = "(int64[n] i) => (float[n, 4] y) { r = Gather(table, i) y = MatMul(r, w) }"
    made = model(text, table=normal(256, 8), w=normal(8, 4))
    found = plan(made.graph, ("MatMul",), {}, min_elements=100)
    assert [node.reason for node in found.left] == ["fewer than 100 weights: nothing to save"]
    assert [node.reason for node in table_lookups(made.graph)] == [
        "a table of 8 KiB: its rows are looked up, not summed"
    ]
