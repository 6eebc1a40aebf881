"""What is played from: pieces of clips, each with a seed of its own."""

import numpy as np
import pytest

from calibration.audio.clips import make_clip
from calibration.feeds.chain_feeds import Encoded
from optimize.truth.song.prompts import N_PROMPTS, prompts_of, told
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET

HOP = VAMPNET.hop_samples


def encoded(*frames, per_recording=1):
    rng = np.random.default_rng(0)
    clips = tuple(
        make_clip(f"clip {i}", rng.random(n * HOP, "f4"), "here", (), f"song {i // per_recording}")
        for i, n in enumerate(frames)
    )
    codes = tuple(rng.integers(0, 1024, (1, 14, n)) for n in frames)
    return Encoded(clips, codes, "here", "here")


def test_a_prompt_is_a_piece_with_its_own_codes_sound_and_seed():
    given = encoded(*[400] * 13)
    (found,) = prompts_of(given, VAMPNET)
    assert found.frames == 173 and len(found.prompts) == N_PROMPTS
    assert [each.seed for each in found.prompts] == list(range(N_PROMPTS))
    assert {each.place.first_frame for each in found.prompts} == {0, 173}
    for each in found.prompts:
        clip = int(each.place.clip.removeprefix("clip "))
        first = each.place.first_frame
        assert np.array_equal(each.codes, given.codes[clip][:, :, first : first + 173])
        own = given.clips[clip].samples[first * HOP : (first + 173) * HOP]
        assert np.array_equal(each.samples, own)
    assert found.record.n_pieces == N_PROMPTS and found.record.n_recordings == 13


def test_pieces_come_from_every_recording_and_again_with_other_seeds_where_they_are_few():
    (found,) = prompts_of(encoded(200, 200, 400, per_recording=2), VAMPNET)
    assert len(found.prompts) == N_PROMPTS == len({each.seed for each in found.prompts})
    assert found.record.n_pieces == 4 and found.record.n_recordings == 2
    assert told([found]) == "same song: from 24 prompts of 173 frames (4 pieces of 2 recordings)"
    assert told(prompts_of(encoded(180), VAMPNET)).endswith("(1 piece of 1 recording)")


def test_long_prompts_are_added_where_clips_allow_them_and_short_clips_give_what_they_have():
    assert [each.frames for each in prompts_of(encoded(600, 180), VAMPNET)] == [173, 575]
    assert [each.frames for each in prompts_of(encoded(80, 100), VAMPNET)] == [100]


def test_too_little_for_one_prompt_is_refused():
    with pytest.raises(InputError, match="longest clip that judges has 40 frames"):
        prompts_of(encoded(40, 12), VAMPNET)


def test_other_seeds_codes_or_sound_are_another_hash():
    one, same, other = (prompts_of(encoded(n), VAMPNET)[0] for n in (180, 180, 181))
    assert one.sha256 == same.sha256 != other.sha256
