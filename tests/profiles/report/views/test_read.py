from __future__ import annotations

import math
from typing import Any

import pytest

from tests.profiles.report.example import results_of
from vampnet_models.errors import InputError


def test_reads_the_example(results: dict[str, Any]) -> None:
    run = results_of(results)
    assert [m.name for m in run.models] == ["codec_encoder", "coarse", "c2f", "codec_decoder"]
    fused = run.models[0].variants[0]
    assert fused.accuracy.token_agreement == 1.0
    assert len(fused.accuracy.per_codebook) == 14
    assert fused.profiles["cuda"].kind == "not-measured"
    assert fused.profiles["mobile"].kind == "estimate"
    assert fused.record.unmatched[0].reason == "alpha is not constant"


def test_every_optional_field_may_be_missing_or_null() -> None:
    bare = {"name": "m", "variants": [{"recipe": "r", "status": "ok", "accuracy": None}]}
    for extra in ({}, {"host": None, "sets": None, "audio": None, "totals": None, "tool": None}):
        run = results_of({"schema": 1, "models": [bare], **extra})
        variant = run.models[0].variants[0]
        assert run.models[0].role == "generic"
        assert variant.bytes is None
        assert variant.judged.token_agreement is None
        assert variant.profiles == {}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema": 2}, "results: schema 2; this version reads 1; run again"),
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
        results_of({"schema": 1, **change})
    assert "\n" not in str(caught.value)


def test_infinite_si_sdr_is_kept() -> None:
    accuracy = {"si_sdr_db": math.inf, "n_positions": 10}
    variant = {"recipe": "r", "status": "ok", "accuracy": accuracy}
    run = results_of({"schema": 1, "models": [{"name": "m", "variants": [variant]}]})
    assert run.models[0].variants[0].accuracy.si_sdr_db == math.inf
