"""Two grades and bounds of one's own, judged by figures alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimize.truth.grades import (
    FAITHFUL,
    HARMLESS,
    Criterion,
    criterion_of,
    grades_held,
    judge,
    too_few,
)
from optimize.truth.status import Bounds
from vampnet_models.errors import InputError
from vampnet_models.records.accuracy import AccuracyReport, Figure, OutputShare

HARM, FAITH = Criterion(HARMLESS), Criterion(FAITHFUL)


def figure(
    value: float, low: float, high: float, recordings: int = 6, clips: int = 24, **each: float
) -> Figure:
    named = dict.fromkeys((f"r{n}" for n in range(recordings - len(each))), value) | each
    return Figure(value, low, high, floor=0.0, n=1000, n_clips=clips, per_recording=named)


def transformer(**found: Figure) -> AccuracyReport:
    return AccuracyReport(**{"cost_nats": figure(0.001, 0, 0.003), **found})


def codec(**found: Figure) -> AccuracyReport:
    return AccuracyReport(**{"cost_log_mel_db": figure(0.01, 0, 0.03), **found})


def test_the_sentence_is_computed_from_the_figures() -> None:
    found = judge("coarse", transformer(), HARM)
    assert found.verdict == "holds"
    assert found.text == "no cost above 0.003 nats per token found on 24 clips of 6 recordings"
    heard = replace(figure(0.001, 0, 0.003), heard_s=83.6)
    assert judge("coarse", transformer(cost_nats=heard), HARM).text == (
        "no cost above 0.003 nats per token found on 84 s of 6 recordings"
    )
    none = judge("c2f", transformer(cost_nats=figure(-0.002, -0.004, -0.0001)), HARM)
    assert none.text.startswith("no cost above 0 nats per token")
    sampled = judge("c2f", transformer(sampled_agreement=figure(0.995, 0.992, 0.997)), FAITH)
    assert (sampled.verdict, sampled.text) == (
        "holds",
        "sampled agreement of at least 99.20 % found on 24 clips of 6 recordings",
    )


@pytest.mark.parametrize(
    ("role", "accuracy", "criterion", "verdict", "said"),
    [
        (
            "coarse",
            transformer(cost_nats=figure(0.006, 0, 0.0101)),
            HARM,
            "missed",
            "may cost 0.011",
        ),
        ("coarse", transformer(cost_nats=figure(0.006, 0, 0.01)), HARM, "holds", "above 0.01 nats"),
        (
            "coarse",
            transformer(sampled_agreement=figure(0.992, 0.9899, 0.994)),
            FAITH,
            "missed",
            "may be 98.99 %",
        ),
        ("coarse", AccuracyReport(token_agreement=1.0), HARM, "cannot-tell", "run again"),
        ("coarse", AccuracyReport(token_agreement=1.0), FAITH, "cannot-tell", "run again"),
        ("coarse", None, HARM, "cannot-tell", "was not compared"),
        ("codec-encoder", codec(), FAITH, "holds", "0.03 dB log-mel"),
        (
            "codec-encoder",
            codec(cost_log_mel_db=figure(0.03, 0, 0.06)),
            FAITH,
            "missed",
            "0.05 allowed",
        ),
        (
            "codec-decoder",
            codec(cost_log_mel_db=figure(0.03, 0, 0.06)),
            HARM,
            "holds",
            "0.06 dB log-mel",
        ),
        (
            "codec-encoder",
            codec(cost_log_mel_db=figure(0.03, 0, 0.06, trumpet=0.31)),
            HARM,
            "missed",
            "costs 0.31 dB log-mel on trumpet, 0.2 allowed",
        ),
        (
            "codec-decoder",
            codec(cost_si_sdr_db=figure(0.1, 0, 0.21)),
            HARM,
            "missed",
            "may lose 0.21 dB SI-SDR",
        ),
        ("codec-decoder", codec(cost_si_sdr_db=figure(0.1, 0, 0.21)), FAITH, "holds", "log-mel"),
        (
            "codec-decoder",
            codec(cost_si_sdr_db=figure(0.19, 0, 0.9, recordings=1, clips=2)),
            HARM,
            "holds",
            "log-mel",
        ),
        (
            "codec-decoder",
            codec(cost_si_sdr_db=figure(0.21, 0, 0.9, recordings=1, clips=2)),
            HARM,
            "missed",
            "1 recording where it counts",
        ),
    ],
)
def test_each_bound_decides(
    role: str, accuracy: AccuracyReport | None, criterion: Criterion, verdict: str, said: str
) -> None:
    found = judge(role, accuracy, criterion)
    assert found.verdict == verdict
    assert said in found.text


@pytest.mark.parametrize("criterion", [HARM, FAITH])
def test_fp32_with_other_threads_passes_by_its_figures(criterion: Criterion) -> None:
    noise = figure(1e-6, -1e-5, 1e-5)
    same = AccuracyReport(sampled_agreement=figure(0.9999, 0.9998, 1.0), cost_nats=noise)
    assert judge("coarse", same, criterion).verdict == "holds"
    sound = AccuracyReport(cost_log_mel_db=noise, cost_si_sdr_db=noise)
    assert judge("codec-encoder", sound, criterion).verdict == "holds"


@pytest.mark.parametrize(
    ("recordings", "clips", "lacking"),
    [
        (4, 24, "1 recording more"),
        (6, 12, "8 clips more"),
        (2, 8, "3 recordings and 12 clips more"),
    ],
)
def test_too_little_audio_cannot_tell_and_says_how_much_is_needed(
    recordings: int, clips: int, lacking: str
) -> None:
    few = figure(0.0, 0.0, 0.0, recordings, clips)
    for role, accuracy in (
        ("coarse", AccuracyReport(cost_nats=few, sampled_agreement=replace(few, low=1.0))),
        ("codec-decoder", AccuracyReport(cost_log_mel_db=few)),
    ):
        for criterion in (HARM, FAITH):
            found = judge(role, accuracy, criterion)
            assert found.verdict == "cannot-tell"
            assert found.text.endswith(f"it needs {lacking}")


def test_bounds_of_ones_own_replace_the_default_grade_where_they_are_about_a_model() -> None:
    dear = transformer(cost_nats=figure(0.05, 0.04, 0.06), sampled_agreement=figure(0.9, 0.89, 1))
    dear = replace(dear, token_agreement=0.8)
    loud = codec(cost_log_mel_db=figure(0.5, 0.4, 0.6))
    for own, coarse, decoder, encoder in (
        ({"max_cost_nats": 0.06}, "holds", "missed", "missed"),
        ({"max_cost_nats": 0.05}, "missed", "missed", "missed"),
        ({"min_sampled": 0.88}, "holds", "missed", "missed"),
        ({"min_agreement": 0.8}, "holds", "missed", "holds"),
        ({"max_cost_db": 0.6}, "missed", "holds", "holds"),
        ({"min_agreement": 0.81}, "missed", "missed", "missed"),
    ):
        asked = criterion_of(None, Bounds(**own))
        assert judge("coarse", dear, asked).verdict == coarse
        assert judge("codec-decoder", loud, asked).verdict == decoder
        assert judge("codec-encoder", replace(loud, token_agreement=0.8), asked).verdict == encoder


def test_beside_a_grade_that_is_named_both_hold() -> None:
    asked = criterion_of("harmless", Bounds(min_agreement=0.9))
    good = replace(transformer(), token_agreement=0.91)
    assert judge("coarse", good, asked).verdict == "holds"
    assert judge("coarse", replace(good, token_agreement=0.89), asked).verdict == "missed"
    dear = replace(good, cost_nats=figure(0.05, 0.04, 0.06))
    assert judge("coarse", dear, asked).verdict == "missed"
    assert asked.name == "harmless, token agreement from 90.00 %"
    assert criterion_of(None, Bounds(max_cost_nats=0.02)).name == "cost up to 0.02 nats per token"
    assert criterion_of().name == "harmless"


@pytest.mark.parametrize(
    ("grade", "bounds", "said"),
    [
        ("harmful", Bounds(), "grade 'harmful': unknown; use faithful or harmless"),
        ("faithful", Bounds(min_sampled=0.98), "min-sampled 0.98: contradicts the grade faithful"),
        ("harmless", Bounds(max_cost_db=0.2), "max-cost-db 0.2: contradicts the grade harmless"),
        ("harmless", Bounds(max_cost_nats=0.02), "max-cost 0.02: contradicts the grade harmless"),
    ],
)
def test_bounds_that_contradict_each_other_are_refused(
    grade: str, bounds: Bounds, said: str
) -> None:
    with pytest.raises(InputError) as error:
        criterion_of(grade, bounds)
    assert str(error.value).startswith(said)
    assert criterion_of("faithful", Bounds(min_sampled=0.995)).both


@pytest.mark.parametrize(
    ("agreements", "levels", "verdict"),
    [
        ((1.0, None), (80.0, 31.0), "holds"),
        ((1.0, None), (80.0, 0.0), "missed"),
        ((0.98, None), (80.0, 31.0), "missed"),
        ((None, None), (31.0, 35.0), "holds"),
        ((None, None), (29.0, 35.0), "missed"),
        ((1.0, 1.0), (10.0, 10.0), "holds"),
        ((None, None), (None, None), "cannot-tell"),
    ],
)
def test_models_of_other_kinds_are_held_to_identity(
    agreements: tuple[float | None, ...], levels: tuple[float | None, ...], verdict: str
) -> None:
    outputs = tuple(
        OutputShare(name, share, None, None, 9, level, 150.0, None, None)
        for name, share, level in zip("ab", agreements, levels, strict=True)
    )
    accuracy = AccuracyReport(
        token_agreement=min((each for each in agreements if each is not None), default=None),
        snr_db=min((each for each in levels if each is not None), default=None),
        per_output=outputs,
    )
    assert judge("generic", accuracy, HARM).verdict == verdict


@pytest.mark.parametrize("recordings", [1, 4])
def test_too_few_recordings_are_told_before_anything_is_judged(recordings: int) -> None:
    said = too_few(recordings, HARM, all_judge=False) or ""
    assert said.startswith("1 recording judges: " if recordings == 1 else "4 recordings judge: ")
    assert "on fewer than 5 nothing is shown to hold harmless" in said
    assert said.endswith(f"add about {2 * (5 - recordings)} recordings, as half of them judge")
    apart = too_few(recordings, HARM, all_judge=True) or ""
    assert apart.endswith("add 4 recordings" if recordings == 1 else "add 1 recording")


@pytest.mark.parametrize(
    ("recordings", "criterion"),
    [(0, HARM), (5, HARM), (2, criterion_of(bounds=Bounds(min_agreement=0.9)))],
)
def test_enough_recordings_none_and_bounds_on_tokens_need_no_word(
    recordings: int, criterion: Criterion
) -> None:
    assert too_few(recordings, criterion, all_judge=False) is None


def test_beats_are_judged_by_the_beats_that_both_have() -> None:
    assert judge("beats", AccuracyReport(token_agreement=0.99), HARM).verdict == "holds"
    missed = judge("beats", AccuracyReport(token_agreement=0.9847, n_positions=1200), FAITH)
    assert missed.text == "98.47 % agreement of 1,200 positions, 99.00 % asked"


@pytest.mark.parametrize(
    ("role", "accuracy", "criterion", "used"),
    [
        ("coarse", transformer(cost_nats=figure(0.006, 0, 0.02)), HARM, 2.0),
        ("coarse", transformer(cost_nats=figure(0.001, 0, 0.004, 2, 8)), HARM, 0.4),
        ("coarse", transformer(cost_nats=figure(-0.002, -0.004, -0.0001)), HARM, 0.0),
        ("coarse", transformer(sampled_agreement=figure(0.99, 0.98, 1)), FAITH, 2.0),
        ("codec-encoder", codec(cost_log_mel_db=figure(0.01, 0, 0.02, trumpet=0.3)), HARM, 1.5),
        ("codec-decoder", codec(cost_si_sdr_db=figure(0.2, 0, 0.5)), HARM, 2.5),
        ("generic", AccuracyReport(token_agreement=0.97), HARM, 3.0),
        ("generic", AccuracyReport(snr_db=40.0), HARM, 0.1),
        ("coarse", None, HARM, 1e6),
    ],
)
def test_the_tightest_bound_says_how_much_of_it_is_used(
    role: str, accuracy: AccuracyReport | None, criterion: Criterion, used: float
) -> None:
    assert judge(role, accuracy, criterion).used == pytest.approx(used)


def test_the_grades_that_are_shown_to_hold_stand_from_the_stricter_on() -> None:
    both = transformer(sampled_agreement=figure(0.995, 0.992, 0.997))
    assert grades_held("coarse", both) == ("faithful", "harmless")
    assert grades_held("codec-encoder", codec(cost_log_mel_db=figure(0.06, 0, 0.08))) == (
        "harmless",
    )
    assert grades_held("coarse", AccuracyReport(token_agreement=1.0)) == ()
