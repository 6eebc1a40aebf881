import numpy as np
import pytest

from profiles.measure import stats


def test_summary_of_known_samples():
    summary = stats.summarise([float(i) for i in range(1, 12)])
    assert (summary.n, summary.p10, summary.median, summary.p90) == (11, 2.0, 6.0, 10.0)
    assert summary.p99 is None


def test_p99_needs_a_thousand_samples():
    assert stats.summarise([1.0] * 999).p99 is None
    assert stats.summarise([1.0] * 1000).p99 == 1.0


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="no samples"):
        stats.percentile([], 50)


def test_paired_ratio_cancels_what_slows_a_whole_round():
    rng = np.random.default_rng(1)
    weather = rng.uniform(1.0, 3.0, 30)
    reference = list(weather)
    variant = list(weather * 0.5)
    paired = stats.paired_ratio(reference, variant)
    unpaired = stats.unpaired_ratio(reference, variant)
    assert paired.value == pytest.approx(0.5)
    assert paired.high - paired.low < 1e-9
    assert unpaired.high - unpaired.low > 0.05


def test_a_summed_ratio_weighs_by_time():
    rng = np.random.default_rng(4)
    long, short = rng.uniform(9, 11, 20), rng.uniform(0.9, 1.1, 20)
    pairs = [(list(long), list(long * 0.5)), (list(short), list(short * 2))]
    ratio = stats.summed_ratio(pairs)
    truth = (np.median(long) * 0.5 + np.median(short) * 2) / (np.median(long) + np.median(short))
    assert ratio.value == pytest.approx(truth)
    assert ratio.low <= ratio.value <= ratio.high < 0.75
    for broken in ([], [([1.0], [1.0, 2.0])]):
        with pytest.raises(ValueError, match="paired rounds"):
            stats.summed_ratio(broken)


def test_interval_is_seeded_and_covers_the_truth():
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(60):
        reference = list(rng.normal(1.0, 0.05, 25))
        variant = list(rng.normal(0.8, 0.05, 25))
        ratio = stats.paired_ratio(reference, variant, seed=seed)
        assert ratio == stats.paired_ratio(reference, variant, seed=seed)
        covered += ratio.low <= 0.8 <= ratio.high
    assert covered >= 50


def test_paired_ratio_refuses_unequal_rounds():
    with pytest.raises(ValueError, match="not paired"):
        stats.paired_ratio([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 0.9, stats.Verdict.FASTER),
        (1.1, 1.3, stats.Verdict.SLOWER),
        (0.9, 1.1, stats.Verdict.NO_DIFFERENCE),
        (0.97, 0.985, stats.Verdict.NO_DIFFERENCE),
    ],
)
def test_verdict(low, high, expected):
    assert stats.verdict(stats.Ratio((low + high) / 2, low, high, 0.95)) == expected


def test_outliers_are_marked_by_index():
    assert stats.outliers([1.0, 1.01, 0.99, 1.02, 5.0, 1.0, 0.98]) == (4,)
    assert stats.outliers([1.0] * 8 + [9.0]) == (8,)
    assert stats.outliers([1.0] * 5) == ()
    assert stats.outliers([]) == ()


def test_quiet_samples_are_not_noisy():
    noise = stats.noise_verdict([1.0, 1.01, 0.99, 1.0, 1.005, 0.995], foreign_share=0.01)
    assert not noise.noisy
    assert noise.warnings == ()


@pytest.mark.parametrize(
    ("samples", "foreign", "said"),
    [
        ([1.0, 1.0, 1.0, 1.0], 0.5, "other processes used 50%"),
        ([1.0, 1.5, 1.0, 1.5, 1.0, 1.5], None, "spread over 40%"),
        ([1.0] * 5 + [1.15] * 5, None, "second half of the runs took 15% more time"),
        ([1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 4.0], None, "are outliers"),
    ],
)
def test_noise_names_its_reason_and_remedy(samples, foreign, said):
    noise = stats.noise_verdict(samples, foreign)
    assert noise.noisy
    assert any(said in line and ":" in line for line in noise.warnings)


def test_runs_close_together_have_outliers_without_being_noisy():
    rng = np.random.default_rng(0)
    samples = [*rng.normal(1.0, 0.003, 17), 1.03, 1.035, 0.97]
    assert len(stats.outliers(samples)) == 3
    assert not stats.noise_verdict(samples).noisy
    assert stats.noise_verdict([*samples[:17], 1.3, 1.35, 1.4]).noisy


def test_a_levelled_ratio_takes_the_machine_out():
    rng = np.random.default_rng(3)
    then, now = rng.normal(1.0, 0.01, 20), rng.normal(0.74, 0.01, 20)
    yardstick = then * rng.normal(0.5, 0.002, 20), now * rng.normal(0.5, 0.002, 20)
    raw = stats.unpaired_ratio(list(then), list(now))
    levelled = stats.levelled_ratio(
        (list(then), list(yardstick[0])), (list(now), list(yardstick[1]))
    )
    assert raw.high < 0.76
    assert levelled.low < 1 < levelled.high
    assert levelled.high - levelled.low < 0.02
    with pytest.raises(ValueError, match="20 samples and 3"):
        stats.levelled_ratio((list(then), [1.0] * 3), (list(now), list(now)))


def test_steady_needs_a_flat_window():
    assert not stats.is_steady([1.0, 1.0])
    assert stats.is_steady([5.0, 1.0, 1.01, 1.0])
    assert not stats.is_steady([1.0, 1.2, 1.0])
    assert not stats.is_steady([1.04, 1.02, 1.0])
