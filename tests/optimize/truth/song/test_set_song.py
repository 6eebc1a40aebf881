"""Could pieces of a set be FP32's of other seeds? What is degraded fails, FP32 passes."""

from dataclasses import replace

import numpy as np
import pytest

from optimize.truth.song.pieces import Pieces, load_pieces, play
from optimize.truth.song.prompts import Prompts, prompts_of
from optimize.truth.song.set_song import Played, set_song
from tests.optimize.truth.song.test_prompts import encoded
from tests.vampbench.conftest import write_tiny
from vampnet_models.architectures.synth import probe_audio
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.records.accuracy import Figure
from vampnet_models.records.song import SetSong
from vampnet_models.spec import CHAIN_ROLES, FILE_STEMS

FRAMES = 48


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("tiny"))
    return {role: open_artifact(folder / f"{FILE_STEMS[role]}.onnx") for role in CHAIN_ROLES}


@pytest.fixture(scope="module")
def prompts():
    (found,) = prompts_of(encoded(*[FRAMES] * 24, per_recording=4), VAMPNET)
    return found


def pieces(seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return Pieces(rng.integers(0, 1024, (24, 14, FRAMES)), rng.normal(shift, 1, (24, 160)))


FP32 = Played(pieces(0), pieces(1))


def changed(found, share):
    rng = np.random.default_rng(9)
    codes = found.codes.copy()
    where = rng.random(codes.shape) < share
    codes[where] = rng.integers(0, 1024, codes.shape)[where]
    return replace(found, codes=codes)


def test_fp32_passes_and_its_floor_is_told(models, prompts):
    floor = changed(FP32.same, 0.01)
    found = set_song(models, prompts, FP32, floor, Played(floor, FP32.other))
    assert found.same_song.value == found.same_song.floor == pytest.approx(0.99, abs=0.003)
    assert found.is_as_likely is True and found.sounds_alike is True
    assert found.told == (
        "pieces of this set are as likely under FP32 as its own of other seeds, "
        "and sound no farther from it"
    )
    assert found.n_pieces == 24 and found.frames == FRAMES
    assert set(found.nats) == {"coarse", "c2f"} and found.nats["coarse"].floor is not None
    assert found.log_mel_mmd.floor == found.seed_log_mel_mmd.value


def test_pieces_of_quite_other_tokens_are_as_likely_where_seeds_are(models, prompts):
    found = set_song(models, prompts, FP32, FP32.same, Played(pieces(2), pieces(3)))
    assert found.same_song.value < 0.01 and found.same_song.floor == 1
    assert found.is_as_likely is True and found.sounds_alike is True


def test_a_collapse_to_one_token_fails_both(models, prompts):
    collapsed = Pieces(np.full((24, 14, FRAMES), 3), pieces(4, shift=2.0).spectra)
    found = set_song(models, prompts, FP32, FP32.same, Played(collapsed, collapsed))
    assert found.is_as_likely is False and found.sounds_alike is False
    assert "likely under FP32 than its own of other seeds: " in found.told


def test_likelier_pieces_fail_as_less_likely_ones_do():
    def song(value, n_recordings=5):
        songs = {f"song {i}": value for i in range(n_recordings)}
        found = Figure(value, value - 0.02, value + 0.02, n_clips=24, per_recording=songs)
        seeds = Figure(0.01, -0.02, 0.04, n_clips=24, per_recording=songs)
        return SetSong(nats={"coarse": found}, seed_nats={"coarse": seeds})

    assert song(0.01).allowed_nats == {"coarse": pytest.approx(0.09)}
    assert song(0.06).is_as_likely and song(-0.06).is_as_likely
    assert song(0.08).is_as_likely is False and "are less likely" in song(0.08).told
    assert song(-0.08).is_as_likely is False and "are more likely" in song(-0.08).told
    assert song(0.01, 1).is_as_likely is None and "cannot tell: 1 recording" in song(0.01, 1).told


def test_a_chain_plays_the_same_piece_with_the_same_seed_alone(models, tmp_path):
    given = encoded(FRAMES)
    (found,) = prompts_of(given, VAMPNET)
    sound = probe_audio(1)[: FRAMES * VAMPNET.hop_samples].astype(np.float32)
    one = Prompts(FRAMES, tuple(replace(each, samples=sound) for each in found.prompts[:1]))
    first, other = (play(models, one, other_seeds=each) for each in (False, True))
    assert first.codes.shape == (1, 14, FRAMES) and first.spectra.shape == (1, 160)
    again = play(models, one, floor=True)
    assert (again.codes == first.codes).mean() > 0.98
    assert (other.codes != first.codes).mean() > 0.1
    assert np.isfinite(first.spectra).all()
    first.save_npz(tmp_path / "pieces.npz")
    stored = load_pieces(tmp_path / "pieces.npz")
    assert np.array_equal(stored.codes, first.codes)
    assert np.array_equal(stored.spectra, first.spectra)
