import numpy as np
import pytest

from optimize.truth import audio_metrics as metrics


@pytest.fixture
def tone():
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)).astype(np.float32)


@pytest.mark.parametrize("ratio_db", [10, 40])
def test_si_sdr_is_the_known_ratio_whatever_the_gain(tone, ratio_db):
    noise = np.random.default_rng(0).standard_normal(len(tone))
    noise -= noise.mean() + tone * (noise @ tone) / (tone @ tone)
    noise *= np.linalg.norm(tone) / np.linalg.norm(noise) * 10 ** (-ratio_db / 20)
    for gain in (1, 0.1):
        assert metrics.si_sdr_db(tone, gain * (tone + noise)) == pytest.approx(ratio_db, abs=0.01)
    assert metrics.snr_db(tone, tone + noise) == pytest.approx(ratio_db, abs=0.01)


def test_equal_audio_gives_the_ceiling_and_silence_against_sound_its_opposite(tone):
    assert metrics.si_sdr_db(tone, tone) == metrics._CEILING_DB
    assert metrics.snr_db(tone, tone) == metrics._CEILING_DB
    assert metrics.si_sdr_db(0 * tone, 0 * tone) == metrics._CEILING_DB
    assert metrics.si_sdr_db(0 * tone, tone) == -metrics._CEILING_DB


def test_log_mel_measures_a_gain_in_db(tone):
    noise = np.random.default_rng(0).standard_normal(44_100).astype(np.float32) * 0.1
    assert metrics.log_mel_db(noise, noise, 44_100) == 0
    assert metrics.log_mel_db(noise, noise * 10 ** (-6 / 20), 44_100) == pytest.approx(6, abs=0.05)
    assert metrics.log_mel_db(0 * tone, 0 * tone, 44_100) == 0


@pytest.mark.parametrize("rate_hz", [44_100, 16_000])
def test_a_tone_lands_in_its_mel_band(rate_hz):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    spectrogram = metrics.log_mel_spectrogram(tone, rate_hz)
    band, bins_hz = int(spectrogram.mean(axis=0).argmax()), np.fft.rfftfreq(2048, 1 / rate_hz)
    centre = int((metrics.mel_filters(rate_hz)[band] * bins_hz).argmax())
    assert abs(bins_hz[centre] - 440) < 60


def test_short_audio_still_compares():
    assert metrics.log_mel_db(np.ones(3, np.float32), np.ones(3, np.float32), 44_100) == 0


def test_stft_distance_knows_a_gain_a_match_and_silence(tone):
    assert metrics.stft_distance(tone, tone) == 0
    noise = np.random.default_rng(0).standard_normal(44_100).astype(np.float32) * 0.1
    # Half as loud: a convergence of 1/2, and log 2 everywhere.
    assert metrics.stft_distance(noise, noise / 2) == pytest.approx(0.5 + np.log(2), abs=0.01)
    assert metrics.stft_distance(0 * tone, 0 * tone) == 0
    # Noise at -100 dBFS is no louder than silence; a sine at full scale is far from it.
    assert metrics.stft_distance(0 * tone, noise * 1e-4) < 0.01
    assert metrics.stft_distance(0 * tone, tone) > 1
    assert metrics.stft_distance(tone[:300], tone[:300] / 2) > 0.5
