"""What the chain takes for 10 s of music, per recipe and set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from profiles.sets import _CHOSEN, chains_of, sets_of
from vampnet_models.records.profiles import Measurement, Profile, measured_on
from vampnet_models.records.results import Model, SetOfParts, Variant

LENGTHS = {"codec-encoder": 2.0, "coarse": 10.0, "c2f": 3.0, "codec-decoder": 2.0}


def model(role: str, seconds: float, factor: float) -> Model:
    def cpu(median_s: float) -> dict[str, Profile]:
        return {"cpu": Measurement(target="cpu", median_s=median_s, audio_s=LENGTHS[role])}

    variant = Variant("fast", "ok", bytes=10, profiles=cpu(seconds * factor))
    return Model(role, role, profiles=cpu(seconds), variants=(variant,))


def changed(each: Model, **fields: Any) -> Model:
    """The model, with another one variant."""
    return replace(each, variants=(replace(each.variants[0], **fields),))


@pytest.fixture
def models() -> list[Model]:
    return [model(role, 0.1, 0.5) for role in LENGTHS]


def test_a_recipe_twice_as_fast_takes_half(models: list[Model]) -> None:
    found = {c.name: c for c in chains_of(models, [])}
    assert list(found) == ["source", "fast"]
    assert found["source"].kind == "derived"
    whole = found["source"].s_per_10s_of_music
    assert whole == pytest.approx(0.5 + 12 * 0.1 + 2 * 0.1 * 4 + 0.5, rel=0.02)
    assert whole is not None
    assert found["fast"].s_per_10s_of_music == pytest.approx(whole / 2)


def test_a_set_mixes_and_a_failed_part_has_no_time(models: list[Model]) -> None:
    named = [SetOfParts("mixed", dict.fromkeys(LENGTHS, "fast"))]
    assert [c.name for c in chains_of(models, named)] == ["source", "fast", "mixed"]
    models[1] = changed(models[1], status="failed")
    assert [c.name for c in chains_of(models, named)] == ["source"]
    assert chains_of(models[:3], []) == ()


def test_one_variant_of_its_own_for_each_model_is_one_set(models: list[Model]) -> None:
    tuned = [changed(each, recipe=f"tuned-{i}") for i, each in enumerate(models)]
    (found,) = sets_of(tuned)
    assert (found.name, found.bytes) == (_CHOSEN, 40)
    assert found.parts["coarse"] == "tuned-1"
    assert [c.name for c in chains_of(tuned, [found])] == ["source", _CHOSEN]
    same = [changed(each, recipe="fp16") for each in models]
    assert _CHOSEN not in [s.name for s in sets_of(same)]
    same[2] = changed(same[2], recipe="tuned-2", status="failed")
    assert sets_of(same) == ()


def test_what_is_made_of_a_noisy_time_is_noisy(models: list[Model]) -> None:
    assert [c.noisy for c in chains_of(models, [])] == [False, False]
    cpu = measured_on(models[2].variants[0].profiles, "cpu")
    assert cpu is not None
    models[2] = changed(models[2], profiles={"cpu": replace(cpu, noisy=True)})
    assert [c.noisy for c in chains_of(models, [])] == [False, True]
