"""Nats per token, against the sum by hand."""

import numpy as np
import pytest

from calibration.feeds.evidence import MaskedCodes, Place
from optimize.truth.cost.tokens import cost_of_tokens, token_truth
from tests.optimize.truth.test_accuracy import disturbed
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session

N, GIVEN, FRAMES = 14, 4, 24


def masked_codes(n_recordings=5, pieces=4):
    rng = np.random.default_rng(0)
    found = []
    for number in range(n_recordings * pieces):
        codes = rng.integers(0, 1024, (1, N, FRAMES))
        mask = (rng.random(codes.shape) < (0.95, 0.45)[number % 2]).astype(np.int64)
        mask[:, :GIVEN] = 0
        place = Place(f"song {number // pieces}", "clip", FRAMES * (number % pieces))
        found.append(MaskedCodes(place, codes, mask, FRAMES))
    return found


def surprise(path, each):
    """Nats of each position, `[10, frames]`, by the plain formula."""
    hidden = np.where(each.mask == 1, 1, each.codes)
    logits = open_session(path).run({"codes": hidden, "mask": each.mask})["logits"][0]
    logits = np.float64(logits)[..., :1024]
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    own = each.codes[0, GIVEN:]
    return -np.log(np.take_along_axis(p, own[..., None], axis=-1)[..., 0])


@pytest.fixture(scope="module")
def path(small_models):
    return small_models / "c2f.onnx"


@pytest.fixture(scope="module")
def truth(path):
    return token_truth(open_artifact(path), masked_codes())


def noisy(path, out, amount):
    rng = np.random.default_rng(1)
    return disturbed(
        path,
        out,
        "classifier.layers.0.bias",
        lambda b: (b + amount * rng.standard_normal(b.shape)).astype(np.float32),
    )


def test_the_cost_is_the_difference_of_surprise_at_the_masked_positions(path, truth, tmp_path):
    variant = noisy(path, tmp_path / "v.onnx", 0.3)
    found = cost_of_tokens(truth, open_session(variant.path))
    tenths = {}
    books = {}
    for each in truth.masked:
        difference = surprise(variant.path, each) - surprise(path, each)
        counted = each.mask[0, GIVEN:] == 1
        tenth = int(np.ceil(10 * counted.mean()))
        tenths.setdefault(tenth, []).extend(difference[counted])
        for book in range(N - GIVEN):
            at = counted[book]
            books.setdefault((tenth, book), []).extend(difference[book][at])
    assert found.value == pytest.approx(np.mean([np.mean(v) for v in tenths.values()]), abs=1e-5)
    assert abs(found.value) > 0.02
    assert found.n == sum(int(each.mask.sum()) for each in truth.masked)
    assert found.n_clips == 20 and len(found.per_recording) == 5 and found.can_tell
    assert found.low < found.value < found.high
    assert set(found.per_mask_ratio) == {f"{t / 10:.1f}" for t in tenths}
    assert list(found.per_codebook) == [str(book) for book in range(GIVEN, N)]
    book = np.mean([np.mean(v) for (_, b), v in books.items() if b == 3])
    assert found.per_codebook["7"] == pytest.approx(book, abs=1e-5)


def test_the_model_itself_costs_nothing_and_the_floor_next_to_nothing(path, truth):
    found = cost_of_tokens(truth, open_session(path))
    assert found.value == found.low == found.high == 0
    assert 0 < abs(found.floor) < 1e-4


def test_what_stands_beneath_the_mask_is_not_shown_to_the_model(path, truth):
    """The answer is the same whatever the real code is: only its own probability is looked up."""
    first = truth.masked[0]
    shifted = np.where(first.mask == 1, (first.codes + 1) % 1024, first.codes)
    other = MaskedCodes(first.place, shifted, first.mask, FRAMES)
    again = token_truth(open_artifact(path), [other])
    np.testing.assert_allclose(
        again.reference[0][first.mask[0, GIVEN:] == 1],
        surprise(path, other)[first.mask[0, GIVEN:] == 1],
        atol=1e-5,
    )


def test_a_piece_that_is_masked_twice_is_heard_once(path):
    once = masked_codes(1, 2)
    truth = token_truth(open_artifact(path), [*once, once[0]])
    found = cost_of_tokens(truth, open_session(path))
    assert found.heard_s == pytest.approx(2 * FRAMES * 768 / 44_100)


def test_what_fills_a_window_up_is_not_counted(path):
    first = masked_codes()[0]
    widths = ((0, 0), (0, 0), (0, 9))
    mask = np.pad(first.mask, widths, constant_values=1)
    mask[:, :GIVEN] = 0
    filled = MaskedCodes(first.place, np.pad(first.codes, widths), mask, FRAMES)
    truth = token_truth(open_artifact(path), [filled])
    assert truth.reference[0].shape == (N - GIVEN, FRAMES)
    assert cost_of_tokens(truth, open_session(path)).n == int(first.mask.sum())


def test_logits_that_are_no_numbers_cost_much_and_are_written_as_a_number(path, truth, tmp_path):
    def break_one(bias):
        bias[5] = np.nan
        return bias

    variant = disturbed(path, tmp_path / "v.onnx", "classifier.layers.0.bias", break_one)
    found = cost_of_tokens(truth, open_session(variant.path))
    assert 1 < found.value < 100
