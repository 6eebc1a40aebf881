"""The truth of some feeds is that of those feeds alone."""

from __future__ import annotations

from dataclasses import replace

from calibration.feeds.evidence import Evidence
from optimize.truth.accuracy import compare, reference_truth
from tests.optimize.truth.cost.test_codec import FRAMES, decoder, passages, played, scaled
from tests.optimize.truth.cost.test_tokens import masked_codes
from vampnet_models.onnxfile.artifact import open_artifact

__all__ = ["decoder", "played"]


def test_passages_of_some_feeds_are_held_against_those_answers(decoder, played, tmp_path):
    feeds, sounds = played
    truth = reference_truth(decoder, feeds[:6], evidence=Evidence(passages=passages(sounds[:6], 3)))
    some = [1, 3, 5]
    fewer = replace(
        truth,
        **{
            name: tuple(getattr(truth, name)[i] for i in some)
            for name in ("feeds", "strata", "answers", "floor", "sources")
        },
        costs=truth.costs.of_feeds(some, 2),
    )
    kept = tuple(each for each in passages(sounds[:6], 3) if each.feed in some)
    anew = tuple(replace(each, feed=some.index(each.feed)) for each in kept)
    alone = reference_truth(decoder, [feeds[i] for i in some], evidence=Evidence(passages=anew))
    variant = scaled(decoder.path, tmp_path / "v.onnx", "decoder.model.0.weight", 0.3)
    found = compare(fewer, variant).cost_log_mel_db
    assert found == compare(alone, variant).cost_log_mel_db
    assert found is not None and found.n_clips == 6 and found.n == 6 * 20 * FRAMES * 768 // 40


def test_an_odd_step_over_states_meets_more_mask_ratios(small_models):
    c2f = open_artifact(small_models / "c2f.onnx")
    each = masked_codes()[:8]
    feeds = [{"codes": one.codes, "mask": one.mask} for one in each]
    truth = reference_truth(c2f, feeds, evidence=Evidence(masked=tuple(each)))
    some = truth.costs.of_feeds(range(4), 2)
    assert some.tokens is not None and some.tokens.masked == (each[0], each[3], each[6])
    found = compare(replace(truth, costs=some), c2f).cost_nats
    assert found is not None and found.value == 0 and len(found.per_mask_ratio) == 2
