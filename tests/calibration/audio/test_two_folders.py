from pathlib import Path

import numpy as np
import pytest
import soundfile

from calibration.audio.load import load_audio_set
from calibration.audio.samples import builtin_audio_set
from calibration.audio.two_folders import _load_two_folders, load_audio
from tests.heard import Heard
from vampnet_models.errors import InputError
from vampnet_models.progress import Reporter

RATE_HZ = 44_100


def write(path: Path, seconds: float, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * RATE_HZ)), RATE_HZ)
    return path


def test_which_recordings_calibrate_and_which_judge_is_told(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.wav", number + 1, number)
    told = Heard()
    audio = load_audio(tmp_path, told)
    assert {clip.recording for clip in audio.evaluation} == {"2"}
    assert told.notes == ["recordings: 0, 1 calibrate; 2 judges"]
    told.notes.clear()
    load_audio(tmp_path, told, sides=("evaluation",))
    assert told.notes == ["recordings: 2 judges"]
    load_audio(None, told)
    assert len(told.notes) == 1


def test_each_folder_is_one_side(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.wav", 7.0, 1)
    write(tmp_path / "b" / "two.wav", 11.0, 2)
    audio = _load_two_folders(tmp_path / "a", tmp_path / "b", clip_s=5.0)
    assert [clip.name for clip in audio.calibration] == ["one@0.0s", "one@5.0s"]
    assert [clip.name for clip in audio.evaluation] == ["two@0.0s", "two@5.0s", "two@10.0s"]
    assert audio.name == "a | b" and not audio.dropped


def test_the_pack_calibrates_where_no_folder_is_given(tmp_path: Path) -> None:
    write(tmp_path / "b" / "two.wav", 3.0, 2)
    audio = _load_two_folders(None, tmp_path / "b")
    pack = [clip.sha256 for clip in builtin_audio_set().calibration]
    assert [clip.sha256 for clip in audio.calibration] == pack
    assert [clip.name for clip in audio.evaluation] == ["two"]


def test_what_both_sides_have_is_judged_on_alone_and_named(tmp_path: Path) -> None:
    shared = write(tmp_path / "b" / "two.wav", 3.0, 2)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "copy.wav").write_bytes(shared.read_bytes())
    write(tmp_path / "a" / "one.wav", 3.0, 1)
    audio = _load_two_folders(tmp_path / "a", tmp_path / "b")
    assert [clip.name for clip in audio.calibration] == ["one"]
    assert [(d.name, d.reason) for d in audio.dropped] == [("copy", "the same content as two")]


def test_one_folder_for_both_sides_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.wav", 3.0, 1)
    with pytest.raises(InputError, match="nothing is left to calibrate on"):
        _load_two_folders(tmp_path / "a", tmp_path / "a")


def test_clips_per_side_are_limited(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.wav", 4.0, 1)
    write(tmp_path / "b" / "two.wav", 4.0, 2)
    audio = _load_two_folders(tmp_path / "a", tmp_path / "b", clip_s=1.0, max_clips=2)
    assert len(audio.calibration) == len(audio.evaluation) == 2


def test_more_clips_may_judge_than_calibrate(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.wav", 4.0, 1)
    write(tmp_path / "a" / "two.wav", 4.0, 2)
    one = load_audio_set(tmp_path / "a", clip_s=1.0, max_clips=2, max_judging=3)
    assert (len(one.calibration), len(one.evaluation)) == (2, 3)
    write(tmp_path / "b" / "three.wav", 4.0, 3)
    two = _load_two_folders(tmp_path / "a", tmp_path / "b", clip_s=1.0, max_clips=2, max_judging=3)
    assert (len(two.calibration), len(two.evaluation)) == (2, 3)


@pytest.mark.parametrize(("clip_s", "longest_s"), [(None, 5), (10.1, 10.1)])
def test_clips_are_as_long_as_asked_for(tmp_path: Path, clip_s, longest_s) -> None:
    write(tmp_path / "a" / "one.wav", 23.0, 1)
    write(tmp_path / "b" / "two.wav", 23.0, 2)
    apart = load_audio(tmp_path / "a", Reporter(), tmp_path / "b", clip_s)
    one = load_audio(tmp_path / "b", Reporter(), clip_s=clip_s)
    for clips in (apart.calibration, apart.evaluation, one.calibration + one.evaluation):
        assert max(clip.duration_s for clip in clips) == pytest.approx(longest_s, abs=1e-3)
    beside_pack = load_audio(None, Reporter(), tmp_path / "b", 2.0)
    assert {clip.duration_s for clip in beside_pack.calibration} == {2.0}
    pack = load_audio(None, Reporter(), clip_s=clip_s)
    assert max(clip.duration_s for clip in pack.evaluation) == (3 if clip_s is None else 6)
