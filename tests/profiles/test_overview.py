"""What results say of storage and of earlier exports, whatever made them."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from profiles.overview import (
    import_figures,
    known_issues,
    lengths_text,
    storage_by_use,
)
from tests.profiles.report.example import results_of
from vampnet_models.family import VAMPNET
from vampnet_models.records.import_record import (
    AccountRecord,
    FigureRecord,
    ImportRecord,
    VerificationRecord,
)
from vampnet_models.records.results import Lengths


def variant(recipe, size, agreement=None, si_sdr_db=None, time_s=None, status="ok"):
    measured = {"kind": "measurement", "target": "cpu", "median_s": time_s}
    cpu = {} if time_s is None else {"cpu": measured}
    accuracy = {"token_agreement": agreement, "si_sdr_db": si_sdr_db}
    return {
        "recipe": recipe,
        "bytes": size,
        "status": status,
        "accuracy": accuracy,
        "profiles": cpu,
    }


@pytest.fixture
def results():
    coarse = [
        variant("fused", 100, 1.0, time_s=1.0),
        variant("fp16", 50, 0.999, time_s=1.1),
        variant("int8-dynamic", 26, 0.995, time_s=0.4),
        variant("int4-weights", 15, 0.8, time_s=0.3),
    ]
    decoder = [
        variant("fused", 200, si_sdr_db=150.0, time_s=2.0),
        variant("fp16", 100, si_sdr_db=60.0, time_s=2.0),
        variant("int8-dynamic", 60, si_sdr_db=20.0, time_s=1.0),
        variant("int4-weights", 40, si_sdr_db=5.0, time_s=3.0, status="failed"),
    ]
    return {
        "schema": 1,
        "models": [
            {"name": "coarse", "role": "coarse", "source_bytes": 101, "variants": coarse},
            {"name": "dec", "role": "codec-decoder", "source_bytes": 201, "variants": decoder},
        ],
        "source_bytes": 302,
        "totals": {"fused": 300, "fp16": 150, "int8-dynamic": 86},
    }


def test_storage_counts_only_what_exists(results):
    rows = storage_by_use(results_of(results))
    assert ("codec only", "source", 201) in rows
    assert ("whole chain", "fp16", 150) in rows
    assert not any(use == "whole chain" and recipe == "int4-weights" for use, recipe, _ in rows)


def test_a_codec_without_transformers_is_stored_once(results):
    results["models"] = [m for m in results["models"] if m["name"] == "dec"]
    rows = storage_by_use(results_of(results))
    assert {use for use, _, _ in rows} == {"codec only"}


ANY = Lengths("any", None, False, None)


def whole(results):
    """With the other two of VampNet's four."""
    return results["models"] + [{"name": r, "role": r} for r in ("codec-encoder", "c2f")]


def import_of(checkpoints=1, golden=None):
    """The record of an import that lost nothing."""
    tensors = {"used": 10, "folded": 5, "unused": 1, "unaccounted": 0}
    accounts = (AccountRecord("codec.pth", tensors, {}, ()),) * checkpoints
    return ImportRecord((), (), (), (), golden, None, accounts)


def test_issues_of_earlier_exports_are_told_of_their_models_alone(results):
    parts, results["models"] = results["models"], whole(results)
    for made_here in (True, None):
        results["models"][0]["made_here"] = made_here
        assert known_issues(results_of(results), {"coarse": ANY}, None) == []
    results["models"][0]["made_here"] = False
    issues = {i.name: i.now for i in known_issues(results_of(results), {"coarse": ANY}, None)}
    assert "coarse: any length" in issues["fixed length"]
    assert "unknown" in issues["incomplete weights"]
    assert "small models" in issues["size on phones"]
    other = asdict(replace(VAMPNET, sample_rate_hz=16_000))
    of_another_codec = [m | {"family": other} for m in results["models"]]
    for models in (parts, of_another_codec):
        assert known_issues(results_of(results | {"models": models}), {}, None) == []
    figure = FigureRecord("codec_codes", "codec_encoder.onnx", "codes equal", 1.0, 1.0, True)
    imported = import_of(golden=VerificationRecord("the original's answers", (figure,)))
    issues = {i.name: i.now for i in known_issues(results_of(results), {}, imported)}
    assert issues["incomplete weights"].startswith("15 tensors transferred, 1 unused")
    assert issues["quality gap"] == "100.00% of the original's codes"


def test_a_store_is_named_for_models_of_full_size_alone(results):
    coarse, decoder = results["models"]
    results["models"] = whole(results)
    coarse |= {"made_here": False, "source_bytes": 1_330_000_000}
    decoder |= {"source_bytes": 510_000_000}
    for total, said in ((90e6, ": fits Google Play's base module"), (9e9, ": over the limits of")):
        results["totals"] = {"fp16": total}
        issues = {i.name: i.now for i in known_issues(results_of(results), {}, None)}
        assert said in issues["size on phones"]
    coarse["source_bytes"] = 8_000_000
    issues = {i.name: i.now for i in known_issues(results_of(results), {}, None)}
    assert "Google" not in issues["size on phones"]


@pytest.mark.parametrize(
    ("accepts", "length", "masked", "said"),
    [
        ("any", None, False, "any length"),
        ("one", 100, False, "100 alone"),
        ("up-to", 575, True, "up to 575, all masked"),
        ("none", None, False, "none that was tried"),
        (None, None, False, "unknown"),
    ],
)
def test_lengths_in_words(accepts, length, masked, said):
    assert lengths_text(Lengths(accepts, length, masked, None)) == said


def test_figures_of_an_import_are_numbers():
    assert import_figures(None) is None
    assert import_figures(import_of(checkpoints=2)) == {
        "tensors_transferred": 30,
        "tensors_unused": 2,
        "tensors_lost": 0,
        "codes_equal": None,
    }
