from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from profiles.report.views.read import read_results, results_path
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


def test_a_run_is_found_by_its_folder_or_its_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"schema": 1, "models": [{"name": "m", "path": "m", "source_bytes": 9}]}')
    assert results_path(tmp_path) == results_path(path) == path
    assert read_results(tmp_path).models[0].source_bytes == 9


def test_where_no_run_is_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such folder"):
        results_path(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no results\.json; give one that"):
        results_path(tmp_path)
    (tmp_path / "work").mkdir()
    with pytest.raises(InputError, match="its run is not finished; start the same again"):
        results_path(tmp_path)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([], "models: holds none; run again"),
        ([{"source_bytes": 9}], r"models\[0\]\.path: is missing; run again"),
        ([{"path": "m"}], r"models\[0\]\.source_bytes: is missing; run again"),
        (
            [{"path": "m", "source_bytes": 9, "variants": [{"status": "ok", "path": "v"}]}],
            r"models\[0\]\.variants\[0\]\.bytes: is missing; run again",
        ),
        (
            [{"path": "m", "source_bytes": 9, "variants": [{"status": "missed", "bytes": 1}]}],
            r"models\[0\]\.variants\[0\]\.path: is missing; run again",
        ),
    ],
)
def test_what_every_reader_needs_is_there(
    tmp_path: Path, models: list[dict[str, Any]], said: str
) -> None:
    for model in models:
        model["name"] = "m"
        for variant in model.get("variants", ()):
            variant["recipe"] = "r"
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "models": models}))
    with pytest.raises(InputError, match=said):
        read_results(tmp_path)


def test_a_variant_that_was_not_made_needs_no_file(tmp_path: Path) -> None:
    variant = {"recipe": "r", "status": "failed", "reason": "no kernel"}
    model = {"name": "m", "path": "m", "source_bytes": 9, "variants": [variant]}
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "models": [model]}))
    assert read_results(tmp_path).models[0].variants[0].reason == "no kernel"
