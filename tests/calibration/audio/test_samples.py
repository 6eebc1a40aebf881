from pathlib import Path

import numpy as np
import pytest
import soundfile

from calibration.audio.load import load_audio_set
from calibration.audio.samples import builtin_audio_set, pitch_hz, pluck, sample_pack, write_samples
from vampnet_models.errors import InputError

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def pack() -> tuple:
    return sample_pack()


def test_the_pack_is_varied(pack: tuple) -> None:
    assert len({c.sha256 for c in pack}) == len(pack) == 16
    assert 55 < sum(c.duration_s for c in pack) < 70
    for clip in pack:
        assert clip.samples.dtype == np.float32
        assert 0.05 < np.max(np.abs(clip.samples)) <= 1.0
    pauses = [c for c in pack if c.name.startswith("noise-bursts")]
    assert all(np.count_nonzero(c.samples == 0) > RATE_HZ / 4 for c in pauses)


def test_both_sides_hold_every_kind_and_enough_audio(pack: tuple) -> None:
    audio = builtin_audio_set()
    both = {clip.sha256 for clip in (*audio.calibration, *audio.evaluation)}
    # Synthesised a second time: the same samples.
    assert both == {clip.sha256 for clip in pack}
    kinds = [{clip.name[:-2] for clip in side} for side in (audio.calibration, audio.evaluation)]
    assert kinds[0] == kinds[1] and len(kinds[0]) == 8
    assert sum(clip.duration_s for clip in audio.evaluation) >= 20
    assert {c.sha256 for c in audio.calibration}.isdisjoint(c.sha256 for c in audio.evaluation)


def test_a_plucked_string_has_its_pitch() -> None:
    wave = pluck(57, 1.0, np.random.default_rng(0), 0.998)
    spectrum = np.abs(np.fft.rfft(wave[RATE_HZ // 2 :] * np.hanning(RATE_HZ // 2)))
    peak_hz = np.argmax(spectrum) * 2
    # The averaging adds half a sample to the period of 200.
    assert min(abs(peak_hz - k * pitch_hz(57)) for k in (1, 2, 3)) < 3
    assert np.square(wave[:4410]).sum() > 4 * np.square(wave[-4410:]).sum()


def test_written_files_hold_the_pack_exactly(
    tmp_path: Path, pack: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.audio.samples.sample_pack", lambda _seed: pack)
    folder = tmp_path / "a folder"
    paths = write_samples(folder)
    assert sorted(folder.iterdir()) == paths
    for path, clip in zip(paths, pack, strict=True):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == RATE_HZ
        np.testing.assert_array_equal(samples, clip.samples)
    assert not load_audio_set(folder).dropped


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_samples(tmp_path / "file")
