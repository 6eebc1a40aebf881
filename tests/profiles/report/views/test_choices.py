from __future__ import annotations

from typing import Any

import pytest

from profiles.count.held import Held
from profiles.full_size import full_size_bytes, is_whole_vampnet
from profiles.report.views.choices import Choice, choices_of, is_small
from tests.profiles.report.example import results_of


def test_incomplete_and_missed_choices_say_what_they_lack(results: dict[str, Any]) -> None:
    choices = {c.name: c for c in choices_of(results_of(results))}
    assert choices["int8-dynamic"].missing == ("codec_encoder",)
    assert choices["int4-weights"].missing == ("c2f",)
    assert choices["int8-static"].missed == ("coarse",)
    assert choices["fp16"].complete and not choices["int8-dynamic"].complete


def test_a_choice_is_as_good_as_its_worst_model(results: dict[str, Any]) -> None:
    fp16 = next(c for c in choices_of(results_of(results)) if c.name == "fp16")
    assert fp16.worst_model == "codec_encoder"
    assert fp16.worst_agreement == pytest.approx(1 - 4.5 * 0.0021)
    assert not fp16.within_floor
    fused = next(c for c in choices_of(results_of(results)) if c.name == "fused")
    assert fused.within_floor


def test_a_choice_has_the_grade_that_all_of_its_models_hold(results: dict[str, Any]) -> None:
    def fp16() -> Choice:
        return next(c for c in choices_of(results_of(results)) if c.name == "fp16")

    assert fp16().held is None
    variants = [model["variants"][1] for model in results["models"]]
    for each in variants:
        each["grades"] = ["faithful", "harmless"]
    assert fp16().held == Held("faithful", ())
    variants[2]["grades"] = ["harmless"]
    assert fp16().held == Held("harmless", ())
    variants[1]["grades"] = []
    assert fp16().held == Held(None, (results["models"][1]["name"],))
    # Faithful by its tokens, at a cost that is not shown to be small: with others it is neither.
    variants[1]["grades"] = ["faithful"]
    assert fp16().held == Held(None, (results["models"][1]["name"],))


def test_the_cpu_ratio_sums_medians(results: dict[str, Any]) -> None:
    fp16 = next(c for c in choices_of(results_of(results)) if c.name == "fp16")
    models = results["models"]
    theirs = sum(m["profiles"]["cpu"]["median_s"] for m in models)
    mine = sum(m["variants"][1]["profiles"]["cpu"]["median_s"] for m in models)
    assert fp16.cpu_ratio == pytest.approx(mine / theirs)
    del models[0]["variants"][1]["profiles"]["cpu"]
    fp16 = next(c for c in choices_of(results_of(results)) if c.name == "fp16")
    assert fp16.cpu_ratio is None


def test_a_set_takes_each_role_from_its_recipe(results: dict[str, Any]) -> None:
    mixed = choices_of(results_of(results))[-1]
    assert mixed.kind == "set"
    assert mixed.complete
    assert mixed.bytes == results["sets"][0]["bytes"]
    results["sets"][0]["parts"].pop("coarse")
    assert choices_of(results_of(results))[-1].missing == ("coarse",)


def test_a_recipe_of_its_own_for_each_model_is_no_row(results: dict[str, Any]) -> None:
    for number, each in enumerate(results["models"]):
        each["variants"] = [each["variants"][0] | {"recipe": f"tuned-{number}"}]
        results["sets"][0]["parts"][each["role"]] = f"tuned-{number}"
    results["sets"] = results["sets"][:1]
    (only,) = choices_of(results_of(results))
    assert only.kind == "set" and only.complete
    results["sets"] = []
    assert len(choices_of(results_of(results))) == len(results["models"])


def test_full_size_is_what_was_written_and_never_a_share_of_small_models(
    results: dict[str, Any],
) -> None:
    roles = [model["role"] for model in results["models"]]
    written = [full_size_bytes(role, "fp16") for role in roles]
    before = choices_of(results_of(results))
    fp16 = next(c for c in before if c.name == "fp16")
    assert fp16.full_size_bytes == sum(size or 0 for size in written)
    mixed = next(c for c in before if c.kind == "set")
    parts = results["sets"][0]["parts"]
    assert mixed.full_size_bytes == sum(full_size_bytes(r, parts[r]) or 0 for r in roles)

    results["models"][1]["variants"][1]["bytes"] //= 2
    again = next(c for c in choices_of(results_of(results)) if c.name == "fp16")
    assert again.full_size_bytes == fp16.full_size_bytes


def test_a_recipe_that_was_not_written_at_full_size_has_no_figure(results: dict[str, Any]) -> None:
    results["models"][1]["variants"][1]["recipe"] = "tuned-0123abcd"
    results["sets"][0]["parts"] = {m["role"]: "fp16" for m in results["models"]}
    results["sets"][0]["parts"]["coarse"] = "tuned-0123abcd"
    tuned = next(c for c in choices_of(results_of(results)) if c.kind == "set")
    assert tuned.complete and tuned.full_size_bytes is None


def test_small_and_whole(results: dict[str, Any]) -> None:
    run = results_of(results)
    assert is_whole_vampnet(run)
    assert all(is_small(m) for m in run.models)
    results["models"][0]["source_bytes"] = 91_400_000
    results["models"][3]["source_bytes"] = 90_800_000
    run = results_of(results)
    assert [is_small(m) for m in run.models] == [False, True, True, False]
    results["models"].pop()
    assert not is_whole_vampnet(results_of(results))
