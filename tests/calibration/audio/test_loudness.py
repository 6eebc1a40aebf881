import numpy as np
import pytest

from calibration.audio.loudness import integrated_loudness, normalise_loudness

RATE_HZ = 44_100


def sine(hz: float, seconds: float, peak: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (peak * np.sin(2 * np.pi * hz * t)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_a_full_scale_sine_of_997_hz_has_minus_3_01_lufs(rate_hz: int) -> None:
    measured = integrated_loudness(sine(997, 5, rate_hz=rate_hz), rate_hz)
    assert measured == pytest.approx(-3.01, abs=0.01)


def test_a_recursive_filter_with_the_printed_coefficients_agrees() -> None:
    rng = np.random.default_rng(1)
    noise = (0.1 * rng.standard_normal(48_000)).astype(np.float32)
    shelf = (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (-1.69065929318241, 0.73248077421585),
    )
    high_pass = ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621))
    weighted = biquad(biquad(noise.astype(np.float64), *shelf), *high_pass)
    hops = np.square(weighted).reshape(10, 4800).mean(axis=1)
    blocks = np.array([hops[i : i + 4].mean() for i in range(7)])
    expected = -0.691 + 10 * np.log10(blocks.mean())
    assert integrated_loudness(noise, 48_000) == pytest.approx(expected, abs=1e-4)


def biquad(x: np.ndarray, b: tuple[float, float, float], a: tuple[float, float]) -> np.ndarray:
    y = np.zeros_like(x)
    for n in range(len(x)):
        y[n] = sum(b[k] * x[n - k] for k in range(3) if n >= k)
        y[n] -= sum(a[k] * y[n - 1 - k] for k in range(2) if n > k)
    return y


def test_the_gates_leave_pauses_out() -> None:
    tone = sine(997, 4, 0.1)
    quiet = sine(997, 4, 0.1 * 10 ** (-30 / 20))
    silence = np.zeros(4 * RATE_HZ, np.float32)
    alone = integrated_loudness(tone, RATE_HZ)
    # A few blocks straddle the edges; without the gates a pause would cost 3 dB.
    for pause in (quiet, silence):
        both = integrated_loudness(np.concatenate([tone, pause]), RATE_HZ)
        assert both == pytest.approx(alone, abs=0.4)


def test_normalising_reaches_the_target_unless_the_peak_forbids_it() -> None:
    tone = normalise_loudness(sine(997, 3, 0.5), RATE_HZ)
    assert integrated_loudness(tone, RATE_HZ) == pytest.approx(-24.0, abs=0.01)
    click = np.zeros(RATE_HZ, np.float32)
    click[1000] = 0.5
    assert np.max(np.abs(normalise_loudness(click, RATE_HZ))) == pytest.approx(1.0)


def test_silence_and_short_sounds_are_handled() -> None:
    silence = np.zeros(1000, np.float32)
    assert integrated_loudness(silence, RATE_HZ) == float("-inf")
    assert not normalise_loudness(silence, RATE_HZ).any()
    short = normalise_loudness(sine(997, 0.05, 0.1), RATE_HZ)
    assert np.isfinite(short).all() and short.any()


def test_a_long_signal_is_filtered_across_chunk_borders() -> None:
    tone = sine(997, 13, 0.25)
    assert len(tone) > 2 * (1 << 18)
    expected = -3.01 + 20 * np.log10(0.25)
    assert integrated_loudness(tone, RATE_HZ) == pytest.approx(expected, abs=0.01)
