import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from calibration.audio.clips import AudioSet
from calibration.audio.loudness import TARGET_LUFS, integrated_loudness
from calibration.audio.samples import builtin_audio_set, write_samples
from calibration.audio.two_folders import _load_two_folders
from vampnet_models.errors import InputError
from vampnet_models.records.accuracy import ENOUGH_CLIPS, ENOUGH_RECORDINGS

RATE_HZ = 44_100
PACK = Path(__file__).parents[3] / "calibration" / "audio" / "pack"
TOLD = json.loads((PACK / "pack.json").read_text(encoding="utf-8"))
KINDS = ("speech", "drums", "noise", "loops", "near-silence")


@pytest.fixture(scope="module")
def whole() -> AudioSet:
    return builtin_audio_set(clip_s=None)


def test_every_clip_is_told_of_and_at_the_level_of_a_recording(whole: AudioSet) -> None:
    assert {path.stem for path in PACK.glob("*.ogg")} == {entry["name"] for entry in TOLD}
    assert all(entry["source"] and entry["licence"] for entry in TOLD)
    assert sum(path.stat().st_size for path in PACK.iterdir()) < 4_000_000
    clips = (*whole.calibration, *whole.evaluation)
    assert [clip.name for clip in clips] == [entry["name"] for entry in TOLD]
    assert len({clip.sha256 for clip in clips}) == len(clips)
    for clip in clips:
        assert clip.samples.dtype == np.float32
        assert clip.samples.shape == (6 * RATE_HZ,)
        assert np.array_equal(clip.samples * 32768, np.round(clip.samples * 32768))
        assert integrated_loudness(clip.samples, RATE_HZ) == pytest.approx(TARGET_LUFS, abs=0.5)


def test_what_judges_is_enough_to_tell_and_shares_no_work_with_what_calibrates() -> None:
    works: dict[str, list[str]] = {"calibration": [], "evaluation": []}
    for entry in TOLD:
        if "/" in entry["plays"]:
            works[entry["side"]].append(entry["plays"].removeprefix("hiss, then "))
    both = [*works["calibration"], *works["evaluation"]]
    assert len(set(both)) == len(both)
    assert len(works["calibration"]) >= ENOUGH_RECORDINGS
    assert len(works["evaluation"]) >= ENOUGH_CLIPS
    pack = builtin_audio_set()
    assert len({clip.recording for clip in pack.evaluation}) == len(pack.evaluation)
    for number, side in enumerate((pack.calibration, pack.evaluation), 1):
        assert {f"{kind}-{number}" for kind in KINDS} <= {clip.name for clip in side}


def test_a_part_begins_as_the_whole_does_and_is_another_set(whole: AudioSet) -> None:
    part = builtin_audio_set()
    for short, long in zip(part.evaluation, whole.evaluation, strict=True):
        np.testing.assert_array_equal(short.samples, long.samples[: 3 * RATE_HZ])
    assert part.sha256 != whole.sha256
    assert part.sha256 == builtin_audio_set().sha256


def test_near_silence_and_wide_band_are_what_they_are_called(whole: AudioSet) -> None:
    clips = {clip.name: clip.samples.astype(np.float64) for clip in whole.evaluation}
    hiss = clips["near-silence-2"][: 2 * RATE_HZ]
    assert -75 < 10 * np.log10(np.mean(hiss**2)) < -69
    power = np.abs(np.fft.rfft(clips["noise-2"])) ** 2
    assert power[len(power) // 2 :].sum() > 0.1 * power.sum()


def test_written_files_hold_the_pack_exactly_and_judge_as_it_does(
    tmp_path: Path, whole: AudioSet
) -> None:
    folder = tmp_path / "a folder"
    paths = write_samples(folder)
    sides = folder / "calibration", folder / "evaluation"
    assert sorted(paths) == sorted(path for side in sides for path in side.iterdir())
    for path, clip in zip(paths, (*whole.calibration, *whole.evaluation), strict=True):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == RATE_HZ
        np.testing.assert_array_equal(samples, clip.samples)
    heard = _load_two_folders(*sides)
    assert not heard.dropped and not heard.warnings
    assert {clip.recording for clip in heard.evaluation} == {clip.name for clip in whole.evaluation}


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_samples(tmp_path / "file")
