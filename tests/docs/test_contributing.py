"""The lists of CONTRIBUTING.md: what is added touches those files, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimize.fusions.order import Form

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGES = ("vampbench", "optimize", "calibration", "profiles", "vampnet_models")
MOST_FILES = 4


def sections() -> dict[str, list[str]]:
    """The files of each list, by its heading."""
    found = {}
    for part in TEXT.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        if title.startswith("Add a "):
            found[title.removeprefix("Add a ")] = re.findall(r"^\| `([^`]+)` \|", body, re.M)
    return found


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every file of the product, by its path, parsed."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_the_map_names_what_there_is() -> None:
    body = TEXT.split("## The house on one page")[1].split("\n## ")[0]
    rows = [row for row in body.splitlines() if row.startswith("| `")]
    named = [
        (room, path)
        for row in rows
        for room in [row.split("|")[1]]
        for path in re.findall(r"`([\w./]+)`", room)
    ]
    folders = {p.name for p in ROOT.rglob("*") if p.is_dir() and ".venv" not in p.parts}
    for _, path in named:
        assert (ROOT / path).exists() or path.strip("/") in folders or path.endswith(".py")


@pytest.mark.parametrize("kind", ["fusion", "recipe", "target", "family"])
def test_a_list_names_few_files_that_exist(kind: str) -> None:
    files = sections()[kind]
    assert 0 < len(files) <= MOST_FILES
    for file in files:
        assert (ROOT / file).is_file()


def test_one_family_is_asked_for_by_name_in_few_places() -> None:
    naming = {path for path, tree in modules() for n in ast.walk(tree) if _names(n, "VAMPNET")}
    # The list, what imports and draws its members, the rate that recordings are read at, and what
    # is known of the published models alone.
    assert naming == {
        "calibration/audio/clips.py",
        "profiles/full_size.py",
        "vampnet_models/architectures/families.py",
        "vampnet_models/architectures/synth.py",
        "vampnet_models/family.py",
    }


def _names(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def test_a_fusion_is_known_to_the_table_alone() -> None:
    rules = {r.name for form in Form for r in (*form.rules, *form.finish)}
    room = ROOT / "optimize" / "fusions"
    files = {p.stem for p in room.rglob("*.py") if p.stem in rules} - {"snake", "native_snake"}
    assert len(files) > 10
    for path, tree in modules():
        if path.startswith("optimize/fusions/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "optimize.fusions"
            ):
                names = {*(node.module or "").split("."), *(a.name for a in node.names)}
                # The precisions use two facts of Snake, which native_snake too stands for.
                assert not names & files, path
