"""Advice that follows from results, whatever made them."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from profiles.overview import (
    RULE,
    import_figures,
    keeps,
    known_issues,
    lengths_text,
    recommendations,
    storage_by_use,
)
from tests.profiles.report.example import results_of
from vampnet_models.family import VAMPNET
from vampnet_models.records.generic import read
from vampnet_models.records.import_record import (
    AccountRecord,
    FigureRecord,
    ImportRecord,
    VerificationRecord,
)
from vampnet_models.records.results import Lengths, Variant


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


def test_each_target_gets_the_best_that_keeps_the_tokens(results):
    advice = {a.target: a for a in recommendations(results_of(results))}
    assert advice["cpu"].parts == {"coarse": "int8-dynamic", "dec": "fp16"}
    assert advice["cuda"].parts == {"coarse": "fp16", "dec": "fp16"}
    assert advice["android"].parts == {"coarse": "int8-dynamic", "dec": "fp16"}
    assert advice["android"].bytes == 126


def test_a_model_that_nothing_keeps_is_named(results):
    results["models"][0]["variants"] = [variant("int4-weights", 15, 0.8, time_s=0.3)]
    advice = {a.target: a for a in recommendations(results_of(results))}
    assert advice["android"].parts["coarse"] == "int4-weights"
    lost = (
        "no variant of coarse that it takes keeps the tokens: int4-weights has 80.00 %, below 99%"
    )
    assert advice["android"].caveats[0].text == lost
    assert advice["android"].why.text == "smallest that keeps the tokens (coarse aside)"
    results["models"] = results["models"][:1]
    advice = {a.target: a for a in recommendations(results_of(results))}
    assert advice["cpu"].why.text == "fastest, measured here; the smallest of equals"
    assert (advice["android"].caveats[0].code, advice["android"].caveats[0].model) == (
        "tokens-lost",
        "coarse",
    )
    assert advice["android"].why.code == "smallest"
    assert "cuda" not in advice


def test_what_loses_too_many_tokens_is_refused_by_the_rule_that_is_told(results):
    advice = {a.target: a for a in recommendations(results_of(results))}
    assert "99% agreement" in RULE and "30 dB SI-SDR" in RULE
    expected = [("coarse", "int4-weights", "below 99%"), ("dec", "int8-dynamic", "below 30 dB")]
    for target in ("cpu", "android"):
        refused = advice[target].refused
        assert [(r.model, r.recipe, r.text) for r in refused] == expected
    assert advice["cuda"].refused == ()


@pytest.mark.parametrize(
    ("agreements", "levels", "reason"),
    [
        ((1.0, None), (80.0, 31.0), None),
        ((1.0, None), (80.0, 0.0), "below 30 dB"),
        ((0.98, None), (80.0, 31.0), "below 99%"),
        ((None, None), (31.0, 35.0), None),
        ((None, None), (29.0, 35.0), "below 30 dB"),
        ((1.0, 1.0), (10.0, 10.0), None),
        ((1.0, 0.98), (50.0, 50.0), "below 99%"),
    ],
)
def test_every_output_of_a_generic_model_must_be_kept(results, agreements, levels, reason):
    outputs = [
        {"name": name, "agreement": share, "n_positions": 9, "snr_db": level, "floor_snr_db": 150.0}
        | dict.fromkeys(("floor", "interval", "worst_snr_db", "worst_sample"))
        for name, share, level in zip("ab", agreements, levels, strict=True)
    ]
    share = min((each for each in agreements if each is not None), default=None)
    accuracy = {"token_agreement": share, "snr_db": min(levels), "per_output": outputs}
    small = variant("int8-dynamic", 1, time_s=0.1) | {"accuracy": accuracy}
    results["models"] = [
        results["models"][0] | {"role": "generic", "variants": [small, variant("fused", 9, 1.0)]}
    ]
    android = next(a for a in recommendations(results_of(results)) if a.target == "android")
    assert keeps(results_of(results).models[0].variants[0]) is (reason is None)
    assert [r.text for r in android.refused] == ([] if reason is None else [reason])
    assert "30 dB SQNR" in RULE


@pytest.mark.parametrize(
    ("spans", "noisy", "chosen"),
    [
        ({"fused": (0.90, 1.00), "fp16": (0.95, 1.05)}, False, "fp16"),
        ({"fused": (0.90, 1.00), "fp16": (1.01, 1.05)}, False, "fp16"),
        ({"fused": (0.90, 1.00), "fp16": (1.10, 1.20)}, False, "fused"),
        ({"fused": (0.90, 1.00), "fp16": (1.10, 1.20)}, True, "fp16"),
        ({"fused": (0.90, 1.00), "fp16": (1.40, 1.50)}, True, "fused"),
    ],
)
def test_times_that_do_not_differ_leave_the_choice_to_the_size(results, spans, noisy, chosen):
    for each in results["models"][1]["variants"]:
        if each["recipe"] in spans:
            cpu = each["profiles"]["cpu"]
            cpu |= {"ratio_interval": spans[each["recipe"]], "noisy": noisy}
    assert recommendations(results_of(results))[0].parts["dec"] == chosen


def test_storage_counts_only_what_exists(results):
    rows = storage_by_use(results_of(results))
    assert ("codec only", "source", 201) in rows
    assert ("whole chain", "fp16", 150) in rows
    assert not any(use == "whole chain" and recipe == "int4-weights" for use, recipe, _ in rows)


def test_a_codec_without_transformers_is_stored_once(results):
    results["models"] = [m for m in results["models"] if m["name"] == "dec"]
    rows = storage_by_use(results_of(results))
    assert {use for use, _, _ in rows} == {"codec only"}


def test_keeping_has_a_threshold_for_tokens_and_for_audio():
    assert keeps(read(Variant, variant("a", 1, 0.99), "it", "mend it"))
    assert not keeps(read(Variant, variant("a", 1, 0.989), "it", "mend it"))
    assert keeps(read(Variant, variant("a", 1, si_sdr_db=30), "it", "mend it"))
    assert not keeps(read(Variant, variant("a", 1, si_sdr_db=29.9), "it", "mend it"))


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


def test_advice_from_noisy_times_says_so(results):
    assert {a.target: a.caveats for a in recommendations(results_of(results))}["cpu"] == ()
    results["models"][0]["variants"][0]["profiles"]["cpu"]["noisy"] = True
    caveats = {a.target: a.caveats for a in recommendations(results_of(results))}
    assert caveats["cpu"][0].code == "noisy" and caveats["cpu"][0].model is None
    assert caveats["android"] == ()


def test_the_npus_recipes_are_advised_for_the_npu_alone(results):
    coarse, decoder = (model["variants"] for model in results["models"])
    decoder.append(variant("npu-fp16", 11, si_sdr_db=60.0, time_s=0.1))
    assert "android-npu" not in {a.target for a in recommendations(results_of(results))}
    coarse.append(variant("npu-a16w8", 10, 0.999, time_s=0.1))
    advice = {a.target: a for a in recommendations(results_of(results))}
    assert advice["android-npu"].parts == {"coarse": "npu-a16w8", "dec": "fp16"}
    assert advice["android"].parts == {"coarse": "int8-dynamic", "dec": "fp16"}
    assert advice["cpu"].parts["coarse"] == "int8-dynamic"


def test_ios_gets_what_coreml_takes_once_every_model_has_it(results):
    coarse, decoder = (model["variants"] for model in results["models"])
    coarse.append(variant("coreml-fp16", 55, 0.999, time_s=0.1))
    assert {a.target: a for a in recommendations(results_of(results))}["ios"].parts[
        "coarse"
    ] == "fp16"
    decoder.append(variant("coreml-fp16", 110, si_sdr_db=60.0, time_s=0.1))
    advice = {a.target: a for a in recommendations(results_of(results))}
    assert advice["ios"].parts == {"coarse": "coreml-fp16", "dec": "coreml-fp16"}
    assert advice["cpu"].parts["coarse"] == "int8-dynamic"


def test_a_codec_alone_has_nothing_for_the_npu_and_it_is_said(results):
    results["models"] = results["models"][1:]
    advice = {a.target: a for a in recommendations(results_of(results))}
    (caveat,) = advice["android-npu"].caveats
    assert (caveat.code, caveat.matters) == ("not-there", True)
    assert caveat.text.startswith("nothing of it runs on the NPU")
    assert advice["android"].caveats == ()
