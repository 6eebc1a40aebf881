import pytest

from optimize.recipes import RECIPES, find_recipe
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
        assert set(recipe.expect) <= {rule.name for rule in (*recipe.rules, *recipe.finish)}


def test_an_unknown_recipe_names_the_known_ones() -> None:
    assert find_recipe("fp16").name == "fp16"
    with pytest.raises(InputError, match="int7: no such recipe; choose one of fused, fp16"):
        find_recipe("int7")
