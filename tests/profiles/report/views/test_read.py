from __future__ import annotations

import math
from typing import Any

import pytest

from profiles.measure.records import Measurement
from profiles.measure.stats import Noise, Ratio, Summary, Verdict
from tests.profiles.report.example import run_of
from vampnet_models.errors import InputError


def test_reads_the_example(results: dict[str, Any]) -> None:
    run = run_of(results)
    assert [m.name for m in run.models] == ["codec_encoder", "coarse", "c2f", "codec_decoder"]
    fused = run.models[0].variants[0]
    assert fused.accuracy.token_agreement == 1.0
    assert len(fused.accuracy.per_codebook) == 14
    assert fused.profiles["cuda"].kind == "absent"
    assert fused.profiles["mobile"].kind == "estimate"
    assert fused.unmatched[0].reason == "alpha is not constant"


def test_every_optional_field_may_be_missing_or_null() -> None:
    bare = {"name": "m", "variants": [{"recipe": "r", "status": "ok", "accuracy": None}]}
    for extra in ({}, {"host": None, "sets": None, "audio": None, "totals": None, "tool": None}):
        run = run_of({"schema": 1, "models": [bare], **extra})
        variant = run.models[0].variants[0]
        assert run.models[0].role == "generic"
        assert variant.bytes is None
        assert variant.accuracy.token_agreement is None
        assert variant.profiles == {}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema": 2}, "results: schema: 2 is no version"),
        ({"models": "x"}, "results: models: must be a list"),
        ({"models": [{"name": 3}]}, r"results: models\[0\].name: must be a text"),
        ({"models": [{"name": "m", "source_bytes": "big"}]}, r"models\[0\].source_bytes"),
        ({"models": [{"name": "m", "source_bytes": True}]}, r"models\[0\].source_bytes"),
        (
            {"models": [{"name": "m", "variants": [{"recipe": "r"}]}]},
            r"models\[0\].variants\[0\].status: is missing",
        ),
        (
            {"models": [{"name": "m", "variants": [{"recipe": "r", "status": "good"}]}]},
            "status: must be one of ok, .*, is 'good'",
        ),
        ({"sets": [{"name": "s", "parts": {"coarse": 1}}]}, r"sets\[0\].parts.coarse"),
    ],
)
def test_a_wrong_type_is_one_line_that_names_the_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place) as caught:
        run_of({"schema": 1, **change})
    assert "\n" not in str(caught.value)


def test_reads_what_measuring_writes() -> None:
    measurement = Measurement(
        target="cpu, 2 threads, cores 0-1",
        threads=2,
        bytes=10,
        samples_s=(0.1, 0.2, 0.3),
        warmup_s=(0.4,),
        summary=Summary(n=3, p10=0.12, median=0.2, p90=0.28, p99=None),
        session_s=0.5,
        session_cold_s=None,
        first_run_s=0.6,
        peak_rss_bytes=700,
        base_rss_bytes=100,
        rss_after_load_bytes=400,
        overhead_s=1e-5,
        yardstick_s=(0.004, 0.005, 0.004),
        outliers=(2,),
        noise=Noise(True, 0.8, 0.1, 0.3, ("measure on an idle machine",)),
        foreign_share=None,
        ratio=Ratio(0.5, 0.4, 0.6, 0.95),
        verdict=Verdict.FASTER,
        warnings=("measure on an idle machine",),
    )
    variant = {"recipe": "r", "status": "ok", "profiles": {"cpu": measurement.as_json()}}
    run = run_of({"schema": 1, "models": [{"name": "m", "variants": [variant]}]})
    profile = run.models[0].variants[0].profiles["cpu"]
    assert profile.kind == "measurement"
    assert (profile.p10_s, profile.median_s, profile.p90_s) == (0.12, 0.2, 0.28)
    assert (profile.ratio, profile.ratio_interval) == (0.5, (0.4, 0.6))
    assert profile.ratio_verdict == "faster"
    assert profile.noisy
    assert profile.yardstick_s == (0.004, 0.005, 0.004)
    assert profile.peak_rss_bytes == 700
    assert profile.warnings == ("measure on an idle machine",)
    assert "overhead_s" in profile.extra.data


def test_infinite_si_sdr_is_kept() -> None:
    accuracy = {"si_sdr_db": math.inf, "n_positions": 10}
    variant = {"recipe": "r", "status": "ok", "accuracy": accuracy}
    run = run_of({"schema": 1, "models": [{"name": "m", "variants": [variant]}]})
    assert run.models[0].variants[0].accuracy.si_sdr_db == math.inf
