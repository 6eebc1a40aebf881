"""Beat trackers against their variants: the report, and every recipe on one."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.build import build_variant
from optimize.recipes import RECIPES
from optimize.truth.accuracy import compare, reference_truth
from tests.beat_tracker import clicks, save_tracker
from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ
from vampnet_models.errors import NotApplicable
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.records.generic import as_json
from vampnet_models.spec import Role

FEEDS = tuple(
    {"audio": clicks(6, SAMPLE_RATE_HZ, period_s=0.4 + 0.1 * i, seed=i)[None, None]}
    for i in range(2)
)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    return save_tracker(tmp_path_factory.mktemp("beats") / "wavebeat.onnx")


@pytest.fixture(scope="module")
def truth(tracker):
    return reference_truth(open_artifact(tracker), FEEDS)


def with_bias(tracker, out, change):
    """A copy whose output bias is moved by `change`."""
    model = load_model(tracker)
    value = model.graph.initializers["output.bias"]
    moved = value.const_value.numpy() + np.asarray(change, np.float32)
    value.const_value = ir.tensor(moved, name="output.bias")
    save_model(model, out)
    return open_artifact(out)


def test_a_tracker_agrees_with_itself(truth, tracker):
    found = compare(truth, open_artifact(tracker))
    assert found.token_agreement == found.floor == 1
    assert found.interval == (1, 1)
    assert found.n_positions == sum(k.n_reference for k in found.per_beat_kind) > 40
    assert [k.kind for k in found.per_beat_kind] == ["beat", "downbeat"]
    assert found.snr_db == 150
    assert not found.notes and not found.per_codebook
    json.dumps(as_json(found), allow_nan=False)


def test_lost_beats_cost_recall_and_the_share_counts_both_ways(truth, tracker, tmp_path):
    found = compare(truth, with_bias(tracker, tmp_path / "v.onnx", (-3.0, 0.0)))
    beat, downbeat = found.per_beat_kind
    assert 0 < beat.recall < 1
    assert beat.precision == 1
    assert downbeat.recall == downbeat.precision == 1
    n = beat.n_reference + downbeat.n_reference
    n_variant = beat.n_variant + downbeat.n_variant
    assert found.n_positions == n
    assert found.token_agreement == pytest.approx(2 * n_variant / (n + n_variant))
    assert found.interval[0] <= found.token_agreement <= found.interval[1]
    assert 0 < found.snr_db < 20


def test_beats_out_of_nothing_cost_precision(truth, tracker, tmp_path):
    found = compare(truth, with_bias(tracker, tmp_path / "v.onnx", (0.0, 6.0)))
    assert found.per_beat_kind[1].precision < 1
    assert found.per_beat_kind[1].n_variant > found.per_beat_kind[1].n_reference
    assert found.token_agreement < 1


def test_without_a_beat_in_the_reference_there_is_no_share_and_it_is_said(tmp_path):
    silent = save_tracker(tmp_path / "silent.onnx", lower=100)
    truth = reference_truth(open_artifact(silent), FEEDS)
    same = compare(truth, open_artifact(silent))
    assert same.token_agreement is same.floor is same.interval is None
    assert same.n_positions == 0
    assert "no beat, the variant none either" in same.notes[0]
    loud = compare(truth, with_bias(silent, tmp_path / "loud.onnx", 100.0))
    assert loud.token_agreement is None
    n = sum(k.n_variant for k in loud.per_beat_kind)
    assert n > 0 and f"the variant {n}:" in loud.notes[0]


def test_broken_logits_are_counted(truth, tracker, tmp_path):
    found = compare(truth, with_bias(tracker, tmp_path / "v.onnx", (np.nan, 0.0)))
    assert found.nonfinite == 2 * 517
    assert found.per_beat_kind[0].n_variant == 0


def test_every_recipe_makes_a_tracker_or_says_why_not(truth, tracker, tmp_path):
    labels = tuple(FeedLabel(str(i)) for i in range(2))
    calibration = FeedSet(Role.BEATS, FEEDS, labels)
    made = {}
    for recipe in RECIPES:
        out = tmp_path / recipe.name / "wavebeat.onnx"
        try:
            variant = build_variant(open_artifact(tracker), recipe, out, calibration=calibration)
        except NotApplicable as error:
            # This tracker's kernels are too small to store, and its channels too few to compute.
            slow, small = "integer kernel is slower", "nothing to save"
            assert (slow if recipe.name == "int8-static" else small) in str(error)
            continue
        made[recipe.name] = compare(truth, open_artifact(variant.path))
    assert set(made) >= {"fused", "fp16", "int8-dynamic"}
    assert made["fused"].token_agreement == 1
    assert made["fp16"].token_agreement > 0.95
    assert made["fp16"].snr_db > 30
    assert all(found.token_agreement > 0.6 and found.snr_db > 5 for found in made.values())
