import json
from dataclasses import asdict, replace

import pytest

from vampnet_models.errors import InputError
from vampnet_models.family import FAMILIES, VAMPNET, family_text, known_codec, read_family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_travels_as_text(family):
    assert read_family(family_text(family)) == family


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate_hz": 0},
        {"sample_rate_hz": 10**9},
        {"sample_rate_hz": 44100.0},
        {"hop_samples": 0},
        {"hop_samples": True},
        {"n_codebooks": "14"},
        {"n_coarse_codebooks": 15},
        {"c2f_window_s": 10**6},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 65},
        {"more": 1},
    ],
)
def test_a_family_that_no_model_can_have_is_refused(change):
    with pytest.raises(InputError, match=r"vampbench\.family is damaged"):
        read_family(json.dumps(asdict(VAMPNET) | change))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "9" * 5000, "[" * 4000])
def test_a_text_that_is_no_family_is_refused(text):
    with pytest.raises(InputError, match="names other fields"):
        read_family(text)


def test_codecs_are_known_by_what_is_theirs_alone():
    assert known_codec(14, 768) == known_codec(None, 768) == known_codec(14, None) == VAMPNET
    assert [known_codec(f.n_codebooks, f.hop_samples) for f in FAMILIES] == list(FAMILIES)
    assert known_codec(None, 320) is known_codec(14, 512) is known_codec(8, None) is None


def test_windows_follow_the_rate():
    assert (VAMPNET.coarse_window_frames, VAMPNET.c2f_window_frames) == (575, 173)
    low = replace(VAMPNET, sample_rate_hz=16_000, hop_samples=320)
    assert (low.coarse_window_frames, low.c2f_window_frames) == (500, 150)
