from pathlib import Path

import numpy as np
import pytest
import soundfile

from calibration.audio.load import load_audio_set, read_audio
from calibration.audio.loudness import integrated_loudness
from vampnet_models.errors import InputError

RATE_HZ = 44_100
SHARED_AUDIO = Path(__file__).parents[4] / "shared" / "audio"


def noise(seconds: float, seed: int, rate_hz: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal((round(seconds * rate_hz), channels)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def test_a_long_recording_does_not_judge_alone(tmp_path):
    for number, seconds in enumerate((40, 6, 6, 6, 6, 6)):
        write(tmp_path / f"{number}.wav", noise(seconds, number))
    audio = load_audio_set(tmp_path, max_clips=8)
    sides = [{clip.recording for clip in side} for side in (audio.calibration, audio.evaluation)]
    assert sorted(map(len, sides)) == [3, 3]
    assert "0" in sides[1] and not sides[0] & sides[1]


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_any_rate_and_channel_count_become_mono_at_44100(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    path = write(tmp_path / "x.wav", noise(1.0, 0, rate_hz, channels), rate_hz)
    clip = read_audio(path)
    assert clip.samples.dtype == np.float32 and clip.samples.ndim == 1
    assert len(clip.samples) == pytest.approx(RATE_HZ, abs=2)
    assert np.max(np.abs(clip.samples)) <= 1.0
    assert integrated_loudness(clip.samples, RATE_HZ) == pytest.approx(-24, abs=0.05)


def test_resampling_keeps_the_pitch(tmp_path: Path) -> None:
    t = np.arange(16_000) / 16_000
    path = write(tmp_path / "x.flac", 0.3 * np.sin(2 * np.pi * 440 * t), 16_000)
    spectrum = np.abs(np.fft.rfft(read_audio(path).samples))
    assert np.argmax(spectrum) * RATE_HZ / (2 * (len(spectrum) - 1)) == pytest.approx(440, abs=1)


def test_a_path_with_spaces_and_accents(tmp_path: Path) -> None:
    path = write(tmp_path / "été à la plage" / "chanson n° 1.ogg", noise(1, 1), subtype="VORBIS")
    assert read_audio(path).name == "chanson n° 1"


def bad_files(folder: Path) -> dict[str, Path]:
    broken = noise(1, 3)
    broken[100] = np.nan
    opposed = noise(1, 4, channels=1) * np.array([[1.0, -1.0]], np.float32)
    folder.mkdir(exist_ok=True)
    text = folder / "text.wav"
    text.write_text("not a sound")
    cut = write(folder / "cut.flac", noise(1, 5))
    cut.write_bytes(cut.read_bytes()[:40])
    return {
        "one token frame": write(folder / "three.wav", noise(3 / RATE_HZ, 2)),
        "NaN": write(folder / "nan.wav", broken, subtype="FLOAT"),
        "silent": write(folder / "silent.wav", np.zeros((RATE_HZ, 1), np.float32)),
        "silent after mixing its 2 channels": write(folder / "opposed.wav", opposed),
        "cannot be read as sound": text,
        "cannot be read as sound (": cut,
    }


def test_unusable_files_are_named_with_the_reason_in_one_line(tmp_path: Path) -> None:
    for reason, path in bad_files(tmp_path).items():
        with pytest.raises(InputError) as caught:
            read_audio(path)
        line = str(caught.value)
        assert reason in line and path.name in line and "\n" not in line
    with pytest.raises(InputError, match="no such file"):
        read_audio(tmp_path / "missing.wav")


def test_a_dc_offset_is_subtracted_and_told(tmp_path: Path) -> None:
    straight = 0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ)
    found = read_audio(write(tmp_path / "shifted.wav", straight + 0.3))
    (told,) = found.warnings
    assert told.startswith("shifted.wav: its samples have a mean of 75% of their peak")
    expected = read_audio(write(tmp_path / "straight.wav", straight))
    assert expected.warnings == ()
    np.testing.assert_allclose(found.samples, expected.samples, atol=1e-4)


def test_a_clipped_file_warns(tmp_path: Path) -> None:
    t = np.arange(RATE_HZ) / RATE_HZ
    hot = np.clip(3 * np.sin(2 * np.pi * 200 * t), -1, 1)
    assert "clipped" in read_audio(write(tmp_path / "hot.wav", hot)).warnings[0]
    full = np.sin(2 * np.pi * 200 * t)
    assert read_audio(write(tmp_path / "full.wav", full)).warnings == ()


def test_a_folder_is_split_by_content_and_drops_are_listed(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / f"r{i}.wav", noise(2.5 + i, 10 + i))
    copied, _ = soundfile.read(tmp_path / "r0.wav", dtype="int16")
    write(tmp_path / "sub" / "copy of 0.flac", copied)
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / ".hidden.wav").write_text("hello")
    bad = bad_files(tmp_path / "bad")
    audio = load_audio_set(tmp_path, clip_s=1.0)
    assert {d.name for d in audio.dropped} == {
        "README.md", "sub/copy of 0.flac", *(f"bad/{p.name}" for p in bad.values())
    }  # fmt: skip
    assert "the same content as r0.wav" in {d.reason for d in audio.dropped}
    sides = [{clip.source for clip in side} for side in (audio.calibration, audio.evaluation)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 5
    hashes = [clip.sha256 for clip in (*audio.calibration, *audio.evaluation)]
    assert len(set(hashes)) == len(hashes)
    assert all(len(clip.samples) <= RATE_HZ for clip in audio.evaluation)
    total = sum(len(clip.samples) for clip in (*audio.calibration, *audio.evaluation))
    assert total == round((5 * 2.5 + 10) * RATE_HZ)


def test_the_split_depends_on_content_and_not_on_names(tmp_path: Path) -> None:
    for i, name in enumerate("abcd"):
        write(tmp_path / "one" / f"{name}.wav", noise(2, i))
        write(tmp_path / "two" / f"{'dcba'[i]}.wav", noise(2, i))
    one, two = load_audio_set(tmp_path / "one"), load_audio_set(tmp_path / "two")
    assert one.sha256 == two.sha256
    write(tmp_path / "two" / "e.wav", noise(2, 9))
    assert load_audio_set(tmp_path / "two").sha256 != one.sha256


def test_max_clips_draws_from_every_recording_in_turn(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"r{i}.wav", noise(4, i))
    audio = load_audio_set(tmp_path, clip_s=1.0, max_clips=3)
    for side in (audio.calibration, audio.evaluation):
        assert len(side) == 3
        assert len({clip.source for clip in side}) == 2
        assert {clip.recording for clip in side} == {Path(clip.source).stem for clip in side}
        assert {clip.start(0.5).recording for clip in side} == {clip.recording for clip in side}


def test_files_beyond_the_memory_limit_give_the_same_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        write(tmp_path / f"r{i}.wav", noise(2, i))
    held = load_audio_set(tmp_path, clip_s=1.0)
    monkeypatch.setattr("calibration.audio.load._KEEP_BYTES", 0)
    assert load_audio_set(tmp_path, clip_s=1.0).sha256 == held.sha256


@pytest.mark.parametrize("seconds", [3.0, 12.0])
def test_one_recording_is_halved_and_says_so(tmp_path: Path, seconds: float) -> None:
    write(tmp_path / "only.wav", noise(seconds, 0))
    audio = load_audio_set(tmp_path)
    assert audio.calibration and audio.evaluation
    assert {c.sha256 for c in audio.calibration}.isdisjoint(c.sha256 for c in audio.evaluation)
    assert any("one usable recording" in line for line in audio.warnings)
    assert any("only" in line and "s of audio" in line for line in audio.warnings)


def test_one_recording_that_repeats_itself_cannot_be_judged_on(tmp_path: Path) -> None:
    write(tmp_path / "loop.wav", np.tile(noise(1, 0), (4, 1)))
    with pytest.raises(InputError, match="too little different audio"):
        load_audio_set(tmp_path, clip_s=1.0)


def test_a_folder_without_usable_audio_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_audio_set(tmp_path / "missing")
    with pytest.raises(InputError, match="no usable sound file"):
        load_audio_set(tmp_path)
    write(tmp_path / "silent.wav", np.zeros(RATE_HZ, np.float32))
    with pytest.raises(InputError, match=r"silent\.wav: silent"):
        load_audio_set(tmp_path)


def test_progress_counts_files(tmp_path: Path) -> None:
    for i in range(2):
        write(tmp_path / f"r{i}.wav", noise(1, i))
    calls: list[tuple[int, int]] = []
    load_audio_set(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="the shared recordings are not here")
@pytest.mark.parametrize("name", ["speech.ogg", "trumpet.ogg", "cc0/bd_808.ogg"])
def test_real_recordings_are_usable(name: str) -> None:
    clip = read_audio(SHARED_AUDIO / name)
    assert clip.samples.any() and np.max(np.abs(clip.samples)) <= 1.0
