"""Bits by effect: what each weight gets, what the record says of it, and what it keeps."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from calibration.audio.samples import builtin_audio_set
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.model_feeds import CALIBRATION, EVALUATION, side_feeds
from calibration.feeds.source import Source
from calibration.ranges.collect import collect_moments
from optimize.build import build_variant
from optimize.precision.contract import NO_TRAITS, Conversion, Evidence, Traits
from optimize.precision.weights.mixed_bits import MixedBits
from optimize.precision.weights.weight_only import WeightOnly
from optimize.recipes import INT4_MIXED
from optimize.truth.accuracy import compare, reference_truth
from tests.optimize.graphs import check, convert, model, normal, ops, run, snr_db
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import NotApplicable
from vampnet_models.onnxfile.artifact import find_models, open_artifact, save_model
from vampnet_models.progress import Reporter

CHAIN = """(float[n, 128] x) => (float[n, 128] y) {
 a = MatMul(x, w) b = MatMul(x, v) c = Mul(b, small) y = Add(a, c) }"""
WEIGHTS = {"w": normal(128, 128), "v": normal(128, 128, seed=1), "small": np.float32([0.01])}
FEEDS = [{"x": normal(150, 128, seed=seed)} for seed in (2, 3)]


def mixed(
    made: ir.Model, folder: Path, share: float, feeds: Any = FEEDS, traits: Traits = NO_TRAITS
) -> Conversion:
    """What `build` does with the recipe's precision."""
    path, precision = folder / "fused.onnx", MixedBits(share)
    save_model(made, path)
    moments = partial(collect_moments, path, feeds)
    plan = precision.plan(made.graph, traits)
    return precision.apply(made, plan, Evidence({}, moments, feeds, folder, path))


def test_the_bytes_go_where_the_output_needs_them(tmp_path: Path) -> None:
    made, plain = model(CHAIN, **WEIGHTS), model(CHAIN, **WEIGHTS)
    done = mixed(made, tmp_path, 0.23)
    assert done.precision == {"int4": 1, "int8": 1}
    (dear,) = done.mixed_nodes
    assert (dear.node, dear.precision) == ("matmul_0", "int8")
    assert "in blocks of" in dear.reason
    assert ops(made)["MatMulNBits"] == 2
    by_bits = {n.attributes.get_int("bits"): n for n in made.graph if n.op_type == "MatMulNBits"}
    assert {bits: len(node.inputs) for bits, node in by_bits.items()} == {4: 4, 8: 3}
    check(made)
    convert(plain, WeightOnly(4))
    expected = run(model(CHAIN, **WEIGHTS), FEEDS[0])["y"]
    found, rounded = (snr_db(expected, run(m, FEEDS[0])["y"]) for m in (made, plain))
    assert found > rounded + 10


def test_more_bytes_keep_more(tmp_path: Path) -> None:
    expected, found = run(model(CHAIN, **WEIGHTS), FEEDS[0])["y"], []
    for share in (0.17, 0.2, 0.23, 0.3):
        made = model(CHAIN, **WEIGHTS)
        done = mixed(made, tmp_path, share)
        assert done.warnings == ()
        found.append(snr_db(expected, run(made, FEEDS[0])["y"]))
    assert found == sorted(found)
    assert found[-1] > found[0] + 15


def test_a_share_that_cannot_be_kept_gets_the_fewest_bits(tmp_path: Path) -> None:
    made = model(CHAIN, **WEIGHTS)
    assert mixed(made, tmp_path, 0.05).precision == {"int4": 2}


def test_a_shared_weight_is_stored_once_and_a_convolution_gets_eight(tmp_path: Path) -> None:
    text = """(float[b, 64, 64] x) => (float[b, 64, 64] y) {
     a = MatMul(x, w) r = Relu(a) c = MatMul(r, w)
     y = Conv <kernel_shape = [1]> (c, k) }"""
    weights = {"w": normal(64, 64), "k": normal(64, 64, 1, seed=1)}
    made = model(text, **weights)
    done = mixed(made, tmp_path, 0.24, [{"x": normal(2, 64, 64, seed=4)}])
    reasons = {node.node: node.reason for node in done.mixed_nodes}
    assert reasons["conv_3"] == "no second moments tell what 4 bits would do to it"
    blobs = {n.inputs[1] for n in made.graph if n.op_type == "MatMulNBits"}
    assert ops(made)["MatMulNBits"] == 2
    assert len(blobs) == 1 or done.precision.get("int6") == 2
    check(made)


def test_without_products_there_is_nothing_to_weigh(tmp_path: Path) -> None:
    text = "(float[b, 64, n] x) => (float[b, 64, n] y) { y = Conv <kernel_shape = [1]> (x, k) }"
    with pytest.raises(NotApplicable, match="no product with a matrix of its own"):
        mixed(model(text, k=normal(64, 64, 1)), tmp_path, 0.2)


def test_tables_take_half_or_a_quarter(tmp_path: Path) -> None:
    text = """(int64[n] i) => (float[n, 64] y) {
     e = Gather(t, i) y = MatMul(e, w) }"""
    weights = {"t": normal(500, 64), "w": normal(64, 64, seed=1)}
    feeds = [{"i": np.arange(500)}]
    expected = run(model(text, **weights), feeds[0])["y"]
    for share, precision, least_db in ((0.6, "float16", 40), (0.3, "int8", 30)):
        made = model(text, **weights)
        done = mixed(made, tmp_path, share, feeds)
        (table,) = (node for node in done.mixed_nodes if node.op_type == "Gather")
        assert table.precision == precision
        assert snr_db(expected, run(made, feeds[0])["y"]) > least_db
        check(made)


def test_scales_that_float16_would_lose_stay_float32(tmp_path: Path) -> None:
    text = "(float[n, 128] x) => (float[n, 128] y) { y = MatMul(x, w) }"
    tiny = WEIGHTS["w"] * np.float32(1e-6)
    made = model(text, w=tiny)
    mixed(made, tmp_path, 0.3)
    assert ops(made)["Cast"] == 0
    assert snr_db(FEEDS[0]["x"] @ tiny, run(made, FEEDS[0])["y"]) > 30


def test_the_reference_models_keep_their_tokens_in_a_fifth(tmp_path: Path) -> None:
    """On a few built-in clips: both lose a third of what they lost in 4 bits, or less."""
    artifacts = [open_artifact(path) for path in find_models(builtin_models(tmp_path))]
    transformers = [each for each in artifacts if each.name in ("coarse", "c2f")]
    pack = builtin_audio_set()
    audio = replace(pack, calibration=pack.calibration[:4], evaluation=pack.evaluation[:2])
    inputs = prepare_inputs(artifacts, Source(audio), tmp_path, 0, Reporter(), transformers)
    lost = {}
    for artifact in transformers:
        feeds = side_feeds(artifact, inputs, CALIBRATION, 0, Reporter())
        variant = build_variant(
            artifact, INT4_MIXED, tmp_path / f"{artifact.name}.v.onnx", calibration=feeds
        )
        assert variant.record.bytes <= 0.22 * artifact.bytes
        assert {"int4", "int6", "int8", "float16"} >= set(variant.record.precision) >= {"int6"}
        judging = side_feeds(artifact, inputs, EVALUATION, 0, Reporter())
        truth = reference_truth(artifact, judging.feeds[::5])
        found = compare(truth, open_artifact(variant.path)).sampled_agreement
        assert found is not None
        lost[artifact.name] = 1 - found.value
    assert lost["coarse"] < 0.02
    assert lost["c2f"] < 0.035
