"""The share of final tokens that are FP32's, on the least transformers."""

import numpy as np
import pytest

from optimize.truth.song.prompts import Prompts, prompts_of
from optimize.truth.song.same_song import same_song, song_truth, unplayable
from tests.optimize.truth.song.test_prompts import encoded
from tests.optimize.truth.test_accuracy import disturbed
from tests.vampbench.conftest import write_tiny
from vampnet_models.chain.pipeline import generate_coarse, generate_fine, joined
from vampnet_models.chain.tokens import C2F_SAMPLING, SamplingOptions, full_mask, periodic_mask
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def prompts():
    """24 short prompts of 5 recordings."""
    (found,) = prompts_of(encoded(*[48] * 25, per_recording=5), VAMPNET)
    return found


@pytest.fixture(scope="module")
def coarse(tiny, prompts):
    return song_truth(open_artifact(tiny / "coarse.onnx"), prompts)


def other(path, out, amount=0.5):
    rng = np.random.default_rng(1)
    return disturbed(
        path,
        out,
        "classifier.layers.0.bias",
        lambda b: (b + amount * rng.standard_normal(b.shape)).astype(np.float32),
    )


def test_fp32_plays_its_own_song(tiny, coarse):
    told = []
    path = tiny / "coarse.onnx"
    found = same_song(coarse, open_artifact(path), lambda *a: told.append(a))
    assert found.value == found.low == found.high == 1
    assert found.floor > 0.98
    assert found.can_tell and found.n_clips == 24 and len(found.per_recording) == 5
    assert told[-1] == (24, 24)


def test_a_coarse_variants_share_is_counted_where_it_generates(tiny, coarse, tmp_path):
    variant = other(tiny / "coarse.onnx", tmp_path / "v.onnx")
    found = same_song(coarse, variant)
    same = n = 0
    mask = joined(periodic_mask((1, 4, 48), 7))
    sessions = [open_session(path) for path in (tiny / "coarse.onnx", variant.path)]
    for start in coarse.starts:
        own, theirs = (
            generate_coarse(
                each, start.prompt.codes[:, :4], mask, SamplingOptions(seed=start.prompt.seed)
            )
            for each in sessions
        )
        same += int((own == theirs)[mask == 1].sum())
        n += int(mask.sum())
    assert found.value == pytest.approx(same / n) and found.n == n
    assert 0.01 < found.low < found.value < found.high < 0.99
    assert list(found.per_codebook) == ["0", "1", "2", "3"]


def test_c2f_plays_the_fine_codebooks_of_given_coarse_ones(tiny, prompts, tmp_path):
    few = Prompts(prompts.frames, prompts.prompts[:2])
    truth = song_truth(open_artifact(tiny / "c2f.onnx"), few)
    found = same_song(truth, other(tiny / "c2f.onnx", tmp_path / "v.onnx"))
    assert list(found.per_codebook) == [str(book) for book in range(4, 14)]
    assert found.n == 2 * 10 * 48 and 0.01 < found.value < 0.99
    assert "it needs" in found.cannot_tell
    mask = full_mask((1, 14, 48))
    mask[:, :4] = 0
    own = generate_fine(open_session(tiny / "c2f.onnx"), few.prompts[0].codes, mask, C2F_SAMPLING)
    assert np.array_equal(truth.songs[0], own)


def test_what_cannot_play_says_why(tiny, prompts):
    assert unplayable(open_artifact(tiny / "coarse.onnx")) is None
    narrow = Prompts(
        48, tuple(type(p)(p.place, p.samples, p.codes[:, :3], 0) for p in prompts.prompts)
    )
    with pytest.raises(InputError, match="takes 4 codebooks, the encoder gives 3"):
        song_truth(open_artifact(tiny / "coarse.onnx"), narrow)
