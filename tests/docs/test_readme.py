"""README says what the commands say, and quotes what a run gave."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from docs.tuned import searches
from workbench.main import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def update_readme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_docs", ROOT / "docs" / "update.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sessions_are_what_the_commands_print(update_readme, tmp_path):
    assert update_readme.with_sessions(README, tmp_path) == README
    assert (tmp_path / "coarse.int4.onnx").is_file()


@pytest.fixture
def runs(update_readme):
    return {run: update_readme.kept(run) for run in update_readme.KEPT}


def test_figures_are_those_of_the_kept_runs(update_readme, runs):
    assert update_readme.with_figures(README, runs) == README
    for run in update_readme.RUNS:
        quoted = runs[run]
        # The full-size set is no accuracy claim: 5,000 positions are enough there.
        needed = 5_000 if run == "full-size" else 20_000
        roles = {m["role"] for m in quoted["models"]}
        assert roles == {"codec-encoder", "codec-decoder", "coarse", "c2f"}
        for model in quoted["models"]:
            for variant in model["variants"]:
                assert variant["accuracy"]["n_positions"] >= needed


def test_bounds_of_the_first_codebooks_and_free_runs_get_columns(runs):
    found = [model for search in runs["tune"]["searches"] for model in search["models"]]
    encoder = next(model for model in found if model["name"] == "codec_encoder")
    coarse = next(model for model in found if model["name"] == "coarse")
    wish = {"min_agreement": 0.97, "min_first_agreement": 0.99, "min_si_sdr_db": 30.0}
    chosen = {"bytes": 2_000_000, "agreement": 0.975, "first_agreement": 0.9912}
    chosen |= {"si_sdr_db": None, "latency": 0.5}
    free = {"free_running": {"variant": 0.951, "floor": 0.998}}
    search = {"wish": wish, "chosen": chosen, "uniform": None, "models": [encoder, coarse | free]}
    table = searches([search])
    assert (
        "| 97%, 99% of the first four | tuned | 2.00 MB | 97.50 % | 99.12 % | - | 0.50 x |" in table
    )
    assert "| without near-ties | free-running (floor) | blocks |" in table
    assert "| 95.10 % (99.80 %) |" in table
    for line in table.splitlines():
        assert line.count("|") in (0, 8)


def test_the_latency_table_is_that_of_the_kept_record(update_readme):
    assert update_readme.with_latency(README, update_readme.kept_latency()) == README


def test_another_latency_record_changes_the_readme(update_readme):
    host = {"cpu": "some processor"}
    runner = {"failure": "it is missing", "agreement": None, "samples_s": {}}
    case = {"model": "coarse", "input": "100 frames", "runners": {"a": runner}}
    record = {"host": host, "threads": 2, "cases": {"c": case | {"summary": {"a": {}}}}}
    empty = "x\n<!-- latency: begin -->\nold\n<!-- latency: end -->\ny\n"
    made = update_readme.with_latency(empty, record)
    assert "| a | failed: it is missing |" in made and "old" not in made
    with pytest.raises(ValueError, match="missing"):
        update_readme.with_latency(empty, None)
    assert update_readme.with_latency("no markers", None) == "no markers"


@pytest.mark.parametrize("run", ["demo", "recordings", "full-size"])
def test_other_figures_change_the_readme(update_readme, runs, run):
    variant = runs[run]["models"][0]["variants"][1]
    variant["accuracy"]["token_agreement"] -= 0.01
    assert update_readme.with_figures(README, runs) != README


def test_the_full_size_set_is_far_below_the_old_goal(runs):
    sizes = {s["name"]: s["bytes"] for s in runs["full-size"]["sets"]}
    assert sizes["int8-dynamic transformers, fp16 codec"] <= 1.0e9
    assert sizes["int4-weights transformers, fp16 codec"] <= 0.7e9
    assert {m["weights"] for m in runs["full-size"]["models"]} == {"seeded"}
    assert {m["weights"] for m in runs["demo"]["models"]} == {"trained"}


def test_the_tuned_sets_keep_what_was_asked_for_and_are_smaller(update_readme, runs):
    for search in runs["tune"]["searches"]:
        assert search["chosen"]["agreement"] >= search["wish"]["min_agreement"]
        assert search["chosen"]["bytes"] < search["uniform"]["bytes"]
    runs["tune"]["searches"][0]["chosen"]["bytes"] += 1_000_000
    assert update_readme.with_figures(README, runs) != README


def test_ours_keeps_more_tokens_than_every_other_tool(runs):
    for model in runs["accuracy"]["models"]:
        made = {t["tool"]: t["accuracy"] for t in model["tools"] if "failed" not in t}
        measure = "si_sdr_db" if model["role"] == "codec-decoder" else "token_agreement"
        others = [found[measure] for tool, found in made.items() if not tool.startswith("ours")]
        assert len(others) >= 6
        assert made["ours: int8-static"][measure] > max(others)


def test_ours_takes_the_least_memory_of_the_static_ones_at_full_size(runs):
    for model in runs["accuracy-full"]["models"]:
        rows = {t["tool"]: t for t in model["tools"]}
        others = [t for name, t in rows.items() if "static" in name and "ours" not in name]
        assert others
        ours = rows["ours: int8-static"]
        assert ours["peak_rss_bytes"] < min(row["peak_rss_bytes"] for row in others)
        assert ours["bytes"] < model["source_bytes"]


def test_a_readme_without_markers_is_refused(update_readme, runs):
    with pytest.raises(ValueError, match="demo: begin"):
        update_readme.with_figures("no markers", runs)


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
    for path in (ROOT / "docs").glob("*-results.json"):
        text = path.read_text(encoding="utf-8")
        assert str(Path(sys.prefix).parent) not in text
        assert not re.search(r'"/', text)
