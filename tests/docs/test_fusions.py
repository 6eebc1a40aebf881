"""The table of fusion names lists the rules that there are."""

import re
from pathlib import Path

from optimize.recipes import ALL_RECIPES, NATIVE_RECIPES

ROOT = Path(__file__).parents[2]


def test_every_fusion_has_its_line() -> None:
    text = (ROOT / "docs" / "reference" / "fusions.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    files = {p.stem for p in (ROOT / "optimize" / "fusions").rglob("*.py")}
    recipes = (*ALL_RECIPES, *NATIVE_RECIPES)
    used = {rule.name for recipe in recipes for rule in (*recipe.rules, *recipe.finish)}
    assert sorted(listed) == sorted(used | (files - {"__init__", "rule", "order", "cleanup"}))
