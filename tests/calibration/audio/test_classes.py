import numpy as np
import pytest

from calibration.audio.classes import _CLASSES, class_of
from calibration.audio.clips import MASTER_RATE_HZ
from calibration.audio.samples import builtin_audio_set

PACK = {clip.name: clip.samples for clip in builtin_audio_set().evaluation}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("oneills1850-the-merry-merchant", "transients"),
        ("monteverdi-madrigal-5-7", "music"),
        ("speech-2", "speech-like"),
        ("near-silence-2", "silence"),
    ],
)
def test_kinds_of_the_pack(name: str, kind: str) -> None:
    assert class_of(PACK[name], MASTER_RATE_HZ) == kind
    assert class_of(0.5 * PACK[name], MASTER_RATE_HZ) == kind


def test_hisses_between_vowels_with_pauses_are_like_speech() -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(int(0.2 * MASTER_RATE_HZ)) / MASTER_RATE_HZ
    swell = np.hanning(len(time_s))
    vowel = 0.3 * np.sin(2 * np.pi * 150 * time_s) * swell
    hiss = 0.2 * rng.standard_normal(len(time_s)) * swell
    pause = 0.002 * rng.standard_normal(len(time_s))
    said = np.concatenate([vowel, hiss, vowel, vowel, pause, pause] * 4).astype(np.float32)
    assert class_of(said, MASTER_RATE_HZ) == "speech-like"


@pytest.mark.parametrize("n", [1, 100, 882, 44_100])
def test_silence_of_any_length(n: int) -> None:
    assert class_of(np.zeros(n, np.float32), MASTER_RATE_HZ) == "silence"
    assert class_of(np.full(n, 0.1, np.float32), MASTER_RATE_HZ) in _CLASSES[:3]
