import numpy as np
import pytest

from tests import dac
from vampnet_models.architectures.synth import probe_audio
from vampnet_models.chain import pipeline, tokens
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.session import open_session


@pytest.fixture(scope="module")
def chain(small_models):
    names = ("codec_encoder", "coarse", "c2f", "codec_decoder")
    return pipeline.Chain(*(open_session(small_models / f"{n}.onnx", threads=1) for n in names))


def test_windows_are_ten_and_three_seconds():
    assert VAMPNET.coarse_window_frames == 575
    assert VAMPNET.c2f_window_frames == 173


def test_vamp_gives_audio_of_the_same_length_and_repeats(chain):
    audio = probe_audio(3)[:90_001]

    def mask(shape):
        return tokens.with_upper_codebooks(tokens.periodic_mask(shape, 7), 3)

    options = tokens.SamplingOptions(steps=2)
    told = []
    first, codes = pipeline.vamp(
        chain, audio, mask, options, options, lambda done, total: told.append((done, total))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    again, same = pipeline.vamp(chain, audio, mask, options, options)
    assert first.shape == audio.shape
    assert (codes == same).all()
    assert np.array_equal(first, again)
    kept = pipeline.encode(chain.encoder, audio)[:, :3, ::7]
    assert (codes[:, :3, ::7] == kept).all()
    assert codes.max() < VAMPNET.mask_token


def test_joined_keeps_the_edges_only_where_something_is_kept():
    full = tokens.full_mask((1, 4, 9))
    assert pipeline.joined(full).all()
    partly = full.copy()
    partly[0, 0, 4] = 0
    assert pipeline.joined(partly)[0, :, [0, -1]].sum() == 0


def test_fine_windows_are_padded_and_cut_back(chain):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1024, (1, 14, 200))
    mask = tokens.full_mask(codes.shape)
    seen = []
    out = pipeline.generate_fine(
        chain.c2f, codes, mask, tokens.SamplingOptions(steps=1), lambda s: seen.extend(s)
    )
    assert out.shape == codes.shape
    assert (out[:, :4] == codes[:, :4]).all()
    assert [s.codes.shape[2] for s in seen] == [173, 173]
    assert (seen[1].codes[0, :, 27:] == 0).all()


@pytest.mark.parametrize("stage", ["coarse", "c2f"])
def test_a_window_draws_by_its_place_in_the_song(chain, stage):
    """The same music twice becomes two variations: the seed is one, the frames are others."""
    generate, frames, n = {
        "coarse": (pipeline.generate_coarse, VAMPNET.coarse_window_frames, 4),
        "c2f": (pipeline.generate_fine, VAMPNET.c2f_window_frames, 14),
    }[stage]
    once = np.random.default_rng(0).integers(0, 1024, (1, n, frames))
    twice = np.concatenate([once, once], axis=2)
    options = tokens.SamplingOptions(steps=1, temperature=1000, seed=5)

    def generated(codes):
        mask = tokens.full_mask(codes.shape)
        return generate(getattr(chain, stage), codes, mask, options)[:, -4:]

    found = generated(twice)
    np.testing.assert_array_equal(found[:, :, :frames], generated(once))
    assert (found[:, :, :frames] == found[:, :, frames:]).mean() < 0.2


def test_fully_masked_frames_decode_to_silence(chain):
    codes = np.zeros((1, 14, 4), np.int64)
    codes[:, :, 2] = VAMPNET.mask_token
    audio = pipeline.decode(chain.decoder, codes)
    assert audio.shape == (4 * 768,)
    assert not audio[2 * 768 : 3 * 768].any()
    assert audio[: 2 * 768].any()


def test_masked_frames_are_silent_where_an_odd_stride_shortens_the_sound(dac_codec):
    decoder = open_session(dac_codec(16000).record.parent / "codec_decoder.onnx")
    codes = dac.answers(16000)["codec_codes"][:, :, :6]
    codes[:, :, 4:] = 1024
    audio = pipeline.decode(decoder, codes)
    assert audio.shape == (6 * 320 - 8,)
    assert not audio[4 * 320 :].any()
    assert audio[4 * 320 - 1] != 0
