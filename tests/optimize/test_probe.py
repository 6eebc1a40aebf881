"""One feed through source and variant: wrong graphs get no name, honest ones do."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optimize import probe as probing
from optimize.build import build_variant
from optimize.probe import probe
from optimize.probe_feed import drawn_feeds, shortened, small_ones
from optimize.recipes import INT8_DYNAMIC, find_recipe
from optimize.surgery.jumps import output_traits
from tests.optimize.graphs import Doing, model, normal
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import Artifact, open_artifact, save_model
from vampnet_models.spec import ModelSpec, Role, TensorSpec

LINEAR = "(float[n, 8] x) => (float[n, 8] y) { h = MatMul(x, w) y = Relu(h) }"


def saved(path: Path, text: str = LINEAR, **weights: np.ndarray) -> Artifact:
    made = model(text, **(weights or {"w": normal(8, 8)}))
    save_model(made, path)
    return open_artifact(path)


def negate(made: ir.Model) -> None:
    made.graph.node(1).op_type = "Neg"


def overflow(made: ir.Model) -> None:
    made.graph.node(1).op_type = "Reciprocal"
    made.graph.initializers["w"].const_value = ir.Tensor(np.zeros((8, 8), np.float32))


@pytest.mark.parametrize(
    ("change", "reason"),
    [(negate, r"differs by \S+ of its size, over 0.0001"), (overflow, "not finite any more")],
)
def test_a_wrong_graph_gets_no_name(
    change: Callable[[ir.Model], None], reason: str, tmp_path: Path
) -> None:
    source, out = saved(tmp_path / "m.onnx"), tmp_path / "out" / "m.onnx"
    kept = build_variant(source, find_recipe("fused"), out).record.sha256
    with pytest.raises(PromiseMissed, match=reason) as told:
        build_variant(
            source, replace(find_recipe("fused"), name="spoiled", precision=Doing(change)), out
        )
    assert str(told.value).startswith(f"{out}: it is wrong on the random feed")
    # What was there before is there still.
    assert open_artifact(out).sha256 == kept


def test_the_record_says_how_far_the_answers_are(tmp_path: Path) -> None:
    source = saved(tmp_path / "m.onnx", LINEAR.replace("8", "64"), w=normal(64, 64))
    for recipe in (find_recipe("fused"), INT8_DYNAMIC, find_recipe("int4-weights")):
        made = build_variant(source, recipe, tmp_path / recipe.name / "m.onnx")
        written = json.loads((tmp_path / recipe.name / "m.variant.json").read_text())["probe"]
        assert written["not_probed"] is None and written["feed"] == "random"
        assert written["error"] <= written["bound"]
        assert made.record.probe is not None and made.record.probe.error == written["error"]
        assert (written["error"] < 1e-6) == (recipe is find_recipe("fused"))


TOP = "(float[n, 8] x) => (float[n, 2] v, int64[n, 2] i) { h = MatMul(x, w) v, i = TopK(h, k) }"
ROUNDED = "(float[n, 8] x) => (int64[n, 8] y) { h = MatMul(x, w) y = Cast <to = 7> (h) }"
COUNTED = "(float[n, 8] x) => (int64[2] y, float[n, 8] z) { z = MatMul(x, w) y = Shape(z) }"
DRAWN = "(float[n, 8] x) => (float[n, 8] y) { n = RandomNormalLike(x) y = Add(x, n) }"
PROBABILITY = "(float[n, 8] x) => (float[n, 8] y) { h = MatMul(x, w) y = Sigmoid(h) }"
GUARDED = """(float[n, 8] x, int64 k) => (float[n, 8] y) { one = Constant <value_int = 1> ()
 c = Equal(k, one) y = If (c) <then_branch = t () => (float[n, 8] p) { p = MatMul(x, w) },
                               else_branch = e () => (float[n, 8] q) { q = Relu(x) }> }"""
DECIDED = GUARDED.replace("Equal(k, one)", "Greater(s, z)").replace(
    "one = Constant <value_int = 1> ()", "s = ReduceSum <keepdims = 0> (x) z = Sub(s, s)"
)


@pytest.mark.parametrize(
    ("text", "trait"),
    [
        (TOP, "chosen"),
        (ROUNDED, "chosen"),
        (DECIDED, "chosen"),
        (DRAWN, "drawn"),
        (PROBABILITY, "bounded"),
        (GUARDED, "computed"),
    ],
)
def test_traits_of_outputs(text: str, trait: str) -> None:
    weights = {"w": normal(8, 8), "k": np.array([2])} if text is TOP else {"w": normal(8, 8)}
    found = output_traits(model(text, **weights))
    assert all(getattr(each, trait) for each in found.values())
    assert all(not each.chosen for each in found.values()) or trait == "chosen"


def test_a_length_is_no_choice() -> None:
    found = output_traits(model(COUNTED, w=normal(8, 8)))
    assert not found["y"].chosen and not found["y"].computed and found["z"].computed


def test_what_is_behind_a_choice_is_compared_by_its_form(tmp_path: Path) -> None:
    source = saved(tmp_path / "m.onnx", ROUNDED, w=normal(8, 8))
    saved(tmp_path / "v.onnx", ROUNDED, w=normal(8, 8, seed=1))
    assert probe(source, tmp_path / "v.onnx", 1e-4).error == 0
    other = ROUNDED.replace("int64[n, 8] y", "int64[n, 4] y").replace("w)", "v)")
    saved(tmp_path / "v.onnx", other, v=normal(8, 4))
    with pytest.raises(PromiseMissed, match=r"y \[1, 8\] became \[1, 4\]"):
        probe(source, tmp_path / "v.onnx", 1e-4)


PAIR = """(float[n, 8] x) => (seq(float[n, 8]) s) {
 h = MatMul(x, w) s = SequenceConstruct(h, x) }"""
WIDER = PAIR.replace("(h, x)", "(h, c)").replace("s =", "c = Concat <axis = 1> (x, x) s =")
ENDLESS = "(float[n, 8] x) => (float[n, 8] y) { z = Sub(x, x) y = Div(one, z) }"
TURNED = ENDLESS.replace("y = Div(one, z)", "m = Neg(one) y = Div(m, z)")
WHOLE = "(float[n, 8] x) => (int64[n, 8] y) { h = MatMul(x, w) r = Relu(h) y = Cast <to = 7> (r) }"
LOST = TOP.replace("v, i = TopK(h, k)", "e = Add(h, nan) v, i = TopK(e, k)")


@pytest.mark.parametrize(
    ("text", "other", "reason"),
    [
        (LINEAR, WHOLE, "y was float32 and became int64"),
        (PAIR, PAIR.replace("(h, x)", "(h, x, x)"), "s is a sequence of another length"),
        (PAIR, WIDER, r"s \[1, 8\] became \[1, 16\]"),
        (PAIR, LINEAR.replace("y", "s"), "s is a sequence of another length"),
        (LINEAR, PAIR.replace("s)", "y)").replace("s =", "y ="), "y .* became"),
        (ENDLESS, TURNED, "y has other infinities"),
        (TOP, LOST, "v has values that are not finite"),
    ],
)
def test_answers_of_another_form_are_told(
    text: str, other: str, reason: str, tmp_path: Path
) -> None:
    given = {
        "w": normal(8, 8),
        "k": np.array([2]),
        "one": np.ones(1, np.float32),
        "nan": np.full(8, np.nan, np.float32),
    }
    source, changed = (
        saved(tmp_path / name, words, **{k: v for k, v in given.items() if k in words})
        for name, words in (("m.onnx", text), ("v.onnx", other))
    )
    assert probe(source, source.path, 1e-4).error == 0
    with pytest.raises(PromiseMissed, match=reason):
        probe(source, changed.path, 1e-4)


def test_what_cannot_be_probed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "(float[n, 8] x) => (float[n, 8] y) { h = Reshape(x, s) y = Relu(h) }"
    odd = saved(tmp_path / "odd.onnx", text, s=np.array([3, 5]))
    assert "the source cannot be run" in str(probe(odd, odd.path, 1e-4).not_probed)
    source = saved(tmp_path / "m.onnx")
    monkeypatch.setattr(probing, "_MOST_BYTES", 10)
    assert "`vampbench verify` compares it" in str(probe(source, source.path, 1e-4).not_probed)


def test_given_feeds_come_first_and_the_smallest_of_them(tmp_path: Path) -> None:
    source = saved(tmp_path / "m.onnx")
    feeds = [{"x": normal(n, 8)} for n in (9, 2, 5)]
    assert small_ones(feeds, 3) == (feeds[1],)
    assert probe(source, source.path, 1e-4, feeds).feed == "given"


def test_a_recording_that_begins_with_silence_refuses_no_variant(tmp_path: Path) -> None:
    text = "(float[n, 8] x) => (float[n, 8] y) { y = Add(x, b) }"
    source = saved(tmp_path / "m.onnx", text, b=np.zeros(8, np.float32))
    variant = saved(tmp_path / "v.onnx", text, b=np.full(8, 0.05, np.float32))
    silence, sound = {"x": normal(2, 8) * 1e-3}, {"x": normal(2, 8)}
    assert (probe(source, variant.path, 0.5, [silence, sound, sound]).error or 1) < 0.1
    with pytest.raises(PromiseMissed, match="on each of 2 given feeds"):
        probe(source, variant.path, 0.5, [silence, silence])


def test_feeds_of_a_role_have_its_forms() -> None:
    codes = TensorSpec("codes", "int64", ("batch", 4, "frames"))
    mask = TensorSpec("mask", "int64", ("batch", 4, "frames"))
    logits = TensorSpec("logits", "float32", ("batch", 4, "frames", 1024))
    (feed,) = drawn_feeds(ModelSpec(Role.COARSE, (codes, mask), (logits,), 21))
    assert feed["codes"].shape == feed["mask"].shape == (1, 4, 24)
    assert feed["codes"].max() > 255 and set(np.unique(feed["mask"])) == {0, 1}


def test_random_feeds_stay_small() -> None:
    wide = TensorSpec("x", "float32", (None, "a", "b", "c"))
    sizes = [feed["x"].size for feed in drawn_feeds(ModelSpec(Role.GENERIC, (wide,), (), 21))]
    assert sizes and max(sizes) <= 1 << 22


def test_a_codec_is_probed_on_the_middle_second(small_models: Path) -> None:
    encoder, decoder, coarse = (
        open_artifact(small_models / f"{name}.onnx").spec
        for name in ("codec_encoder", "codec_decoder", "coarse")
    )
    audio = np.arange(768 * 200, dtype=np.float32)[None, None]
    (heard,) = shortened(encoder, {"audio": audio}).values()
    assert heard.shape == (1, 1, 58 * 768)
    assert heard[0, 0, 0] == 71 * 768
    codes = np.arange(200)[None, None]
    (played,) = shortened(decoder, {"codes": codes}).values()
    assert played.tolist() == [[list(range(71, 129))]]
    # What is short, of another model or of a fixed length stays whole.
    assert shortened(decoder, {"codes": codes[..., :40]})["codes"].shape[-1] == 40
    assert shortened(coarse, {"codes": codes})["codes"].shape[-1] == 200
    shape = (1, decoder.inputs[0].shape[1], 200)
    fixed = replace(decoder, inputs=(replace(decoder.inputs[0], shape=shape),))
    assert shortened(fixed, {"codes": codes})["codes"].shape[-1] == 200
