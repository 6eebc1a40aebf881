"""What is decoded is bounded before it is resampled or held."""

import struct

import numpy as np
import pytest
import soundfile
import soxr

from calibration.audio import decode
from calibration.audio.load import read_audio
from vampnet_models.errors import InputError


def refused(path):
    with pytest.raises(InputError) as caught:
        read_audio(path)
    line = str(caught.value)
    assert str(path) in line and line.isprintable()
    return line


def wave(path, rate_hz, channels, frames=2000):
    """A wav of 8 bits, written by hand: no library makes one of such a rate."""
    data = np.random.default_rng(0).bytes(frames * channels)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, channels, rate_hz),
        *(rate_hz * channels % 2**32, channels, 8, b"data", len(data)),
    )
    path.write_bytes(head + data)
    return path


@pytest.mark.parametrize("rate_hz", [1, 100, 3_999, 768_001, 2**31 - 1])
def test_rates_that_no_sound_has_are_refused(tmp_path, rate_hz):
    line = refused(wave(tmp_path / "x.wav", rate_hz, 1))
    assert f"a sample rate of {rate_hz} Hz; 4000 to 768000 Hz are read" in line


@pytest.mark.parametrize("rate_hz", [4_000, 768_000])
def test_the_rates_at_the_bounds_are_read(tmp_path, rate_hz):
    clip = read_audio(wave(tmp_path / "x.wav", rate_hz, 1, rate_hz // 4))
    assert clip.duration_s == pytest.approx(0.25, abs=0.001)


def test_channels_are_bounded(tmp_path):
    assert "65 channels, more than the 64" in refused(wave(tmp_path / "x.wav", 44_100, 65))
    assert len(read_audio(wave(tmp_path / "y.wav", 44_100, 64)).samples) == 2000


def test_half_an_hour_is_the_limit_for_one_file_whatever_its_bytes(tmp_path):
    frames = 30 * 60 * 4_000
    samples = np.zeros(frames + 1, np.int16)
    samples[::9] = 1000
    soundfile.write(tmp_path / "long.flac", samples, 4_000)
    line = refused(tmp_path / "long.flac")
    assert "longer than 30 minutes at its 4000 Hz and 1 channel, the limit for one file" in line


def test_more_bytes_than_the_limit_takes_are_refused_unread(tmp_path, monkeypatch):
    path = wave(tmp_path / "x.wav", 4_000, 2)
    monkeypatch.setattr(decode, "_HEADER_BYTES", 1000)
    monkeypatch.setattr(decode, "_MAX_MINUTES", 0)
    line = refused(path)
    assert "4044 bytes, more than 0 minutes at its 4000 Hz and 2 channels take" in line


@pytest.mark.parametrize("value", [2.7e38, -3.4e38, 1e10])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_values_that_overflow_are_refused(tmp_path, value, rate_hz):
    samples = np.random.default_rng(0).standard_normal((20_000, 2)).astype(np.float32)
    samples[123, 1] = value
    soundfile.write(tmp_path / "x.wav", samples, rate_hz, subtype="FLOAT")
    assert "beyond the full scale of any format" in refused(tmp_path / "x.wav")


def test_a_double_beyond_float32_is_infinite(tmp_path):
    samples = np.full(20_000, 0.1)
    samples[7] = 1e300
    soundfile.write(tmp_path / "x.wav", samples, 44_100, subtype="DOUBLE")
    assert "NaN or infinite" in refused(tmp_path / "x.wav")


def test_integers_that_were_stored_as_floats_are_the_same_sound(tmp_path):
    samples = (0.3 * np.random.default_rng(0).standard_normal(44_100)).astype(np.float32)
    for name, scale in (("a", 1.0), ("b", 2.0**31)):
        soundfile.write(tmp_path / f"{name}.wav", samples * scale, 44_100, subtype="FLOAT")
    one, other = (read_audio(tmp_path / f"{name}.wav").samples for name in "ab")
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8_000, 48_000])
def test_blocks_resample_as_the_whole_does(tmp_path, monkeypatch, rate_hz):
    samples = 0.1 * np.random.default_rng(0).standard_normal((rate_hz, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, rate_hz, subtype="FLOAT")
    monkeypatch.setattr(decode, "_BLOCK_VALUES", 4098)
    found = decode.decode(tmp_path / "x.wav").samples
    np.testing.assert_array_equal(found, soxr.resample(samples.mean(axis=1), rate_hz, 44_100))


def test_samples_without_a_header_are_refused(tmp_path):
    (tmp_path / "x.raw").write_bytes(bytes(5000))
    assert "raw samples name no rate" in refused(tmp_path / "x.raw")
