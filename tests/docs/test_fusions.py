"""The table of fusion names lists the rules that there are."""

import re
from pathlib import Path

from optimize.fusions.order import Form

ROOT = Path(__file__).parents[2]


def test_every_fusion_has_its_line() -> None:
    text = (ROOT / "docs" / "reference" / "fusions.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    files = {p.stem for p in (ROOT / "optimize" / "fusions").rglob("*.py")}
    used = {rule.name for form in Form for rule in (*form.rules, *form.finish)}
    assert sorted(listed) == sorted(used | (files - {"__init__", "rule", "order", "cleanup"}))
