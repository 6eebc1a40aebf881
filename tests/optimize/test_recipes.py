import re

import pytest

from optimize.fusions.order import Form
from optimize.precision.fp16.convert import Float16
from optimize.recipe_settings import (
    StaticSettings,
    dynamic_recipe,
    fp16_recipe,
    mixed_recipe,
    static_recipe,
    weights_recipe,
)
from optimize.recipes import (
    ALL_RECIPES,
    INT4_MIXED,
    INT8_DYNAMIC,
    INT8_STATIC,
    NATIVE_RECIPES,
    RECIPES,
    find_recipe,
)
from optimize.runtime.check import promised_share
from profiles.targets.cpu_native import CPU_NATIVE
from vampnet_models.errors import InputError


def test_the_recipes_in_their_order() -> None:
    assert [recipe.name for recipe in RECIPES] == [
        "fused",
        "fp16",
        "int8-static",
        "int8-dynamic",
        "int8-weights",
        "int4-weights",
    ]
    assert [recipe.name for recipe in RECIPES if recipe.needs_calibration] == ["int8-static"]


def test_every_expectation_is_a_rule_of_the_recipe() -> None:
    for recipe in RECIPES:
        assert set(recipe.expect) <= {
            rule.name for rule in (*recipe.form.rules, *recipe.form.finish)
        }


def test_an_unknown_recipe_names_the_known_ones() -> None:
    assert find_recipe("fp16").name == "fp16"
    with pytest.raises(InputError, match="int7: no such recipe; choose one of fused, fp16"):
        find_recipe("int7")


def test_phones_have_recipes_of_their_own() -> None:
    phones = [recipe for recipe in ALL_RECIPES if recipe.form is Form.PHONE]
    names = [recipe.name for recipe in phones]
    assert names == ["npu-fp16", "npu-a8w8", "npu-a16w8", "coreml-fp16"]
    for recipe in phones:
        assert find_recipe(recipe.name) is recipe
        assert set(recipe.expect) <= {rule.name for rule in recipe.form.rules}


def test_a_share_of_its_own_names_the_mixed_recipe() -> None:
    assert mixed_recipe() is INT4_MIXED and INT4_MIXED in ALL_RECIPES
    assert INT4_MIXED not in RECIPES and INT4_MIXED.needs_calibration
    other = mixed_recipe(0.18)
    assert other.name == "int4-mixed-0.18"
    assert other.precision.settings == {"share": "0.18"}


def test_static_settings_name_their_recipe() -> None:
    assert static_recipe() is INT8_STATIC
    assert static_recipe(StaticSettings(observer="minmax")) is INT8_STATIC
    assert dynamic_recipe() is INT8_DYNAMIC
    assert promised_share(dynamic_recipe(tables=True).name) == INT8_DYNAMIC.integer_share
    every = static_recipe(StaticSettings("mse", "s8", tables=True))
    assert every.name == "int8-static-mse-s8-tables"
    assert promised_share(every.name) == INT8_STATIC.integer_share
    other = static_recipe(StaticSettings("mse", "s8", bias_correction=True))
    assert other.name == "int8-static-mse-s8-corrected" and other.observer == "mse"
    with pytest.raises(InputError, match="u4: no such activations; choose u8 or s8"):
        static_recipe(StaticSettings(activations="u4"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("3", "32", "symmetric", "float"), "3 bits in blocks of 32: not offered"),
        (("4", "48", "symmetric", "float"), "4 bits in blocks of 48: not offered"),
        (("4", "32", "awq", "float"), "awq, float: not offered"),
        (("4", "32", "gptq", "int4"), "gptq, int4: not offered"),
    ],
)
def test_weights_that_are_not_offered_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=f"{said}; see `weights --help`"):
        weights_recipe(*words)
    with pytest.raises(InputError, match="median: no such observer; choose one of minmax"):
        static_recipe(StaticSettings(observer="median"))


def test_fp16_of_other_settings_is_another_variant() -> None:
    kept = [fp16_recipe(Float16(keep_nodes=(each,))) for each in ("a", "b", "a")]
    assert kept[0].name == kept[2].name != kept[1].name
    assert all(re.fullmatch("fp16-[0-9a-f]{8}", each.name) for each in kept)
    assert fp16_recipe(Float16(measure=True)).name == "fp16-measured"


def test_machines_with_the_library_are_offered_what_there_is() -> None:
    natives = [recipe.name for recipe in NATIVE_RECIPES]
    assert list(CPU_NATIVE.own_recipes) == natives
    assert CPU_NATIVE.recipes is not None
    beside = {r.name for r in ALL_RECIPES if r.form is not Form.PHONE}
    assert set(CPU_NATIVE.recipes) == {*natives, *beside}
    assert {find_recipe(name).portable for name in natives} <= beside


def test_a_variant_above_its_share_is_told() -> None:
    assert INT4_MIXED.size_warnings(220, 1000) == ()
    (line,) = INT4_MIXED.size_warnings(230, 1000)
    assert line.startswith("23.0% of the source's bytes, not 22%: what is left")
    assert INT4_MIXED.keeps_share(220, 1000) and not INT4_MIXED.keeps_share(230, 1000)
    assert mixed_recipe(0.25).size_warnings(230, 1000) == ()
    for recipe in RECIPES:
        assert recipe.size_warnings(1000, 1000) == ()
        assert "larger than the source" in recipe.size_warnings(1001, 1000)[0]
