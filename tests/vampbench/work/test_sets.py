"""What the chain takes for 10 s of music, per recipe and set."""

from __future__ import annotations

from typing import Any

import pytest

from vampbench.work.sets import _CHOSEN, _FASTEST, _FASTEST_OF_NOISY, chains_of, sets_of

LENGTHS = {"codec-encoder": 2.0, "coarse": 10.0, "c2f": 3.0, "codec-decoder": 2.0}


def model(role: str, seconds: float, factor: float) -> dict[str, Any]:
    def cpu(median_s: float) -> dict[str, Any]:
        return {"cpu": {"kind": "measurement", "median_s": median_s, "audio_s": LENGTHS[role]}}

    variant = {"recipe": "fast", "status": "ok", "profiles": cpu(seconds * factor)}
    return {"role": role, "profiles": cpu(seconds), "variants": [variant]}


@pytest.fixture
def models() -> list[dict[str, Any]]:
    return [model(role, 0.1, 0.5) for role in LENGTHS]


def test_a_recipe_twice_as_fast_takes_half(models: list[dict[str, Any]]) -> None:
    found = {c["name"]: c for c in chains_of(models, [])}
    assert list(found) == ["source", "fast"]
    assert found["source"]["kind"] == "derived"
    whole = found["source"]["s_per_10s_of_music"]
    assert whole == pytest.approx(0.5 + 12 * 0.1 + 2 * 0.1 * 4 + 0.5, rel=0.02)
    assert found["fast"]["s_per_10s_of_music"] == pytest.approx(whole / 2)


def test_a_set_mixes_and_a_failed_part_has_no_time(models: list[dict[str, Any]]) -> None:
    parts = dict.fromkeys(LENGTHS, "fast")
    named = [{"name": "mixed", "parts": parts}]
    assert [c["name"] for c in chains_of(models, named)] == ["source", "fast", "mixed"]
    models[1]["variants"][0]["status"] = "failed"
    assert [c["name"] for c in chains_of(models, named)] == ["source"]
    assert chains_of(models[:3], []) == []


def test_one_variant_of_its_own_for_each_model_is_one_set(models: list[dict[str, Any]]) -> None:
    for number, each in enumerate(models):
        (variant,) = each["variants"]
        variant |= {"recipe": f"tuned-{number}", "bytes": 10, "accuracy": None}
    (found,) = sets_of(models)
    assert (found["name"], found["bytes"]) == (_CHOSEN, 40)
    assert found["parts"]["coarse"] == "tuned-1"
    assert [c["name"] for c in chains_of(models, [found])] == ["source", _CHOSEN]
    for each in models:
        each["variants"][0]["recipe"] = "fp16"
    assert _CHOSEN not in [s["name"] for s in sets_of(models)]
    models[2]["variants"][0] |= {"recipe": "tuned-2", "status": "failed"}
    assert sets_of(models) == []


def test_what_noisy_times_are_made_into_is_called_so(models: list[dict[str, Any]]) -> None:
    for each in models:
        for variant in each["variants"]:
            variant |= {"bytes": 10, "accuracy": None}
    assert [c["noisy"] for c in chains_of(models, [])] == [False, False]
    assert sets_of(models)[-1]["name"] == _FASTEST
    models[2]["variants"][0]["profiles"]["cpu"]["noisy"] = True
    assert [c["noisy"] for c in chains_of(models, [])] == [False, True]
    assert sets_of(models)[-1]["name"] == _FASTEST_OF_NOISY
