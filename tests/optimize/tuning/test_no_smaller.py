"""Why a block got nothing smaller: figures, and the words made of them."""

import json
from dataclasses import replace

import pytest

from optimize.tuning.no_smaller import WHOLE_MODEL, why_no_smaller
from optimize.tuning.sensitivity import Effect
from vampnet_models.records.generic import as_json, read
from vampnet_models.records.results import BlockOption


def effect(precision: str, damage: float, saved: int, ratio: float = 1.0) -> Effect:
    return Effect("a", precision, damage, 1 - damage, saved, ratio)


OPTIONS = [
    effect("float32", 0, 0),
    effect("half", 1e-5, 2000),
    effect("int8", 1e-4, 3000, 0.5),
    effect("int4", 5e-3, 3400),
]


@pytest.mark.parametrize(
    ("chosen", "code", "said"),
    [
        ("int4", "nothing-smaller", "nothing is smaller"),
        ("int8", "damage", "int4 would save 0.4 kB more, for 50 x the damage"),
        ("half", "damage", "int8 would save 1.0 kB more, for 10 x the damage"),
        ("float32", "damage", "half would save 2.0 kB more, for a damage of 1.0e-05"),
    ],
)
def test_the_next_smaller_one_has_a_price(chosen: str, code: str, said: str) -> None:
    found = why_no_smaller(OPTIONS, chosen)
    assert (found.code, found.text) == (code, said)


def test_its_figures_are_values() -> None:
    found = why_no_smaller(OPTIONS, "int8")
    assert (found.precision, found.saves_bytes) == ("int4", 400)
    assert found.damage_ratio == pytest.approx(50) and found.time_ratio == pytest.approx(2)
    assert found.damage == 5e-3
    assert why_no_smaller(OPTIONS, "float32").damage_ratio is None


def test_more_time_is_a_price_too() -> None:
    slow = effect("slow", 1e-5, 2500, 1.5)
    found = why_no_smaller([*OPTIONS[:2], slow], "half")
    assert found.code == "slower"
    assert found.text == "slow would save 0.5 kB more, but take 1.50 x the time"


def test_an_overflow_is_a_reason_and_survives_the_disk() -> None:
    bad = replace(effect("bad", float("inf"), 80), agreement=None)
    found = why_no_smaller([effect("float32", 0, 0), bad], "float32")
    assert (found.code, found.damage, found.damage_ratio) == ("overflows", None, None)
    assert found.text == "bad would save 0.1 kB more, and overflows"
    kept = json.loads(json.dumps(as_json(bad.option), allow_nan=False))
    assert Effect.of(read(BlockOption, kept, "here", "")) == bad


def test_a_recipe_for_the_whole_model_has_no_figures() -> None:
    found = as_json(WHOLE_MODEL)
    assert found.pop("code") == "whole-model" and found.pop("text") == "the whole model got it"
    assert set(found.values()) == {None}
