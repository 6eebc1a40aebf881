"""README says what the commands say, and quotes what a run gave."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from workbench.main import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def update_readme() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "update_readme", ROOT / "docs" / "update_readme.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sessions_are_what_the_commands_print(update_readme, tmp_path):
    assert update_readme.with_sessions(README, tmp_path) == README
    assert (tmp_path / "coarse.int4.onnx").is_file()


def test_figures_are_those_of_the_kept_run(update_readme):
    quoted = json.loads((ROOT / "docs" / "demo-results.json").read_text(encoding="utf-8"))
    assert update_readme.with_figures(README, quoted) == README
    assert {m["role"] for m in quoted["models"]} == {
        "codec-encoder",
        "codec-decoder",
        "coarse",
        "c2f",
    }
    for model in quoted["models"]:
        for variant in model["variants"]:
            assert variant["accuracy"]["n_positions"] >= 20_000


def test_other_figures_change_the_readme(update_readme):
    quoted = json.loads((ROOT / "docs" / "demo-results.json").read_text(encoding="utf-8"))
    quoted["models"][0]["source_bytes"] += 1_000_000
    assert update_readme.with_figures(README, quoted) != README


def test_a_readme_without_markers_is_refused(update_readme):
    with pytest.raises(ValueError, match="figures: begin"):
        update_readme.with_figures("no markers", {})


def test_make_lines_are_targets_of_the_makefile():
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", README))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets


def test_every_command_is_in_the_table():
    rows = "".join(line for line in README.splitlines() if line.startswith("| `"))
    assert [name for name in cli.commands if f"`{name}`" not in rows] == []


def test_every_named_command_exists():
    named = set(re.findall(r"vampbench ([a-z][a-z0-9-]*)", README))
    assert named <= set(cli.commands)


def test_figures_name_no_path_of_a_machine():
    text = (ROOT / "docs" / "demo-results.json").read_text(encoding="utf-8")
    assert str(Path(sys.prefix).parent) not in text
    assert not re.search(r'"/', text)
