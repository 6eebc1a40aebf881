"""The pages say what the kept results say, and their links lead somewhere."""

from __future__ import annotations

import copy
import re
from typing import get_args
from urllib.parse import urldefrag

import pytest

from calibration.audio.decode import _MAX_CHANNELS, _MAX_MINUTES
from calibration.audio.two_folders import _MAX_CLIPS, _MAX_JUDGING
from docs.cells import Json
from docs.commands import page as page_of_commands
from docs.hooks import COMMANDS
from docs.kept import DOCS, RUNS, all_kept
from docs.pages import README, figures_of, made_pages, named, parts, with_parts
from optimize.recipes import ALL_RECIPES
from optimize.truth.grades import GRADES, KEEPS, KEEPS_DB
from optimize.truth.song.prompts import N_PROMPTS
from profiles.measure.stats import SAME_RUN_MARGIN
from profiles.overview import ACCEPTS
from profiles.targets.order import store_limits
from vampbench.cli.main import cli
from vampnet_models.errors import TRACEBACK_VARIABLE
from vampnet_models.family import MAX_RATE_HZ, MIN_RATE_HZ, VAMPNET
from vampnet_models.records.accuracy import ENOUGH_CLIPS, ENOUGH_RECORDINGS
from vampnet_models.records.results import WhyCode
from vampnet_models.records.tuning import Near, VerdictCode

PAGES = {path.relative_to(README.parent).as_posix(): path for path in made_pages()}
UNITS = ("%", "x", "dB", "kB", "MB", "GB", "KiB", "MiB", "ns", "ms", "s", "GFLOP/s", "GOP/s")
COMPARED_ELSEWHERE = ("docs/results/reliability.md", "docs/history.md")
"""Pages that the tests of `bench` compare, or that tell what others published."""

FACTS = {
    "docs/explanation/measures.md": [
        *("95 %", "99 %", "100 %", "0 dB", "1 dB", "3 dB", "10 dB", "20 dB", "30 dB"),
        *("3 s", "10 s"),
    ],
    "docs/method.md": [
        *("95 %", "99 %", "0.05 dB", "0.1 dB", "0.2 dB", "2 %", "3 dB", "30 dB"),
    ],
    "docs/explanation/numbers.md": [f"{SAME_RUN_MARGIN:.0%}".replace("%", " %")],
    "docs/explanation/trust.md": ["256 MiB", "400 MB"],
    "docs/reference/fusions.md": ["2 s"],
    "docs/how-to/report.md": [f"{SAME_RUN_MARGIN:.0%}".replace("%", " %")],
    "docs/how-to/tune.md": ["30 dB"],
    "README.md": ["5 s"],
    "vampnet_models/reference/MODEL_CARD.md": ["60 dB", "14 MB"],
}
"""Figures that are no results: how an interval is made, what a limit is, a kernel of stride s."""


@pytest.fixture(scope="module")
def runs() -> dict[str, Json]:
    return all_kept()


@pytest.mark.parametrize("name", PAGES)
def test_its_tables_are_those_of_the_kept_results(name: str, runs: dict[str, Json]) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    assert with_parts(text, parts(runs)) == text


def test_every_part_stands_somewhere(runs: dict[str, Json]) -> None:
    used = {part for path in PAGES.values() for part in named(path.read_text(encoding="utf-8"))}
    assert used == set(parts(runs))


@pytest.mark.parametrize("run", RUNS)
def test_other_figures_change_the_parts(run: str, runs: dict[str, Json]) -> None:
    other = copy.deepcopy(runs)
    other[run]["models"][0]["variants"][1]["accuracy"]["token_agreement"] -= 0.01
    before, after = parts(runs), parts(other)
    assert before[run] != after[run]


def test_an_unknown_part_and_an_open_one_are_refused() -> None:
    with pytest.raises(ValueError, match="no such part: nothing"):
        with_parts("<!-- nothing: begin -->\n<!-- nothing: end -->", {"demo": "x"})
    with pytest.raises(ValueError, match="does not end"):
        with_parts("<!-- demo: begin -->\n", {"demo": "x"})
    assert "new" in with_parts("<!-- demo: begin -->\nold\n<!-- demo: end -->", {"demo": "new"})


@pytest.mark.parametrize("name", [name for name in PAGES if name not in COMPARED_ELSEWHERE])
def test_figures_of_its_own_words_are_facts(name: str) -> None:
    found = figures_of(PAGES[name].read_text(encoding="utf-8"), UNITS)
    assert [figure for figure in found if figure not in FACTS.get(name, [])] == []


def test_the_page_of_grades_has_their_bounds() -> None:
    text = PAGES["docs/method.md"].read_text(encoding="utf-8")
    rows = {line.split("|")[1].split("*")[1]: line for line in text.splitlines() if "| *" in line}
    assert set(rows) == set(GRADES)
    for name, grade in GRADES.items():
        bounds = [
            f"{grade.max_log_mel_db:g} dB log-mel (upper end)",
            f"{grade.max_log_mel_of_one_db:g} dB log-mel |",
            *([f"{grade.min_sampled:.0%}".replace("%", " %")] if grade.min_sampled else []),
            *([f"{grade.max_cost_nats:g} nats"] if grade.max_cost_nats else []),
            *([f"{grade.max_si_sdr_db:g} dB SI-SDR"] if grade.max_si_sdr_db else []),
        ]
        assert [each for each in bounds if each not in rows[name]] == []
    assert f"{ENOUGH_RECORDINGS} recordings or {ENOUGH_CLIPS} clips" in text
    assert f"{KEEPS:.0%}".replace("%", " %") in text and f"{KEEPS_DB:g} dB SQNR" in text
    assert f"a margin of {SAME_RUN_MARGIN:.0%}".replace("%", " %") in text


def test_a_prompt_is_as_long_as_the_windows_are() -> None:
    text = PAGES["docs/explanation/measures.md"].read_text(encoding="utf-8")
    assert f"{VAMPNET.c2f_window_s} s long, {VAMPNET.c2f_window_frames} frames" in text
    assert f"{VAMPNET.coarse_window_s} s ({VAMPNET.coarse_window_frames} frames)" in text
    assert f"{N_PROMPTS} prompts of the recordings" in text


def test_how_much_audio_is_taken_is_what_the_run_takes() -> None:
    text = PAGES["docs/start/vampnet.md"].read_text(encoding="utf-8")
    assert f"At most {_MAX_CLIPS} clips of 5 seconds" in text
    assert f"{_MAX_JUDGING} others judge" in text


def test_the_audio_that_is_accepted_is_what_is_decoded() -> None:
    text = PAGES["docs/how-to/calibrate.md"].read_text(encoding="utf-8")
    assert f"{MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} samples per second" in text
    assert f"all become {VAMPNET.sample_rate_hz:,}" in text
    assert f"1 to {_MAX_CHANNELS};" in text
    samples = f"{VAMPNET.hop_samples} samples of those {VAMPNET.sample_rate_hz:,}"
    assert f"from {samples} to {_MAX_MINUTES} minutes" in text


def test_the_page_of_streams_names_what_the_commands_read() -> None:
    text = PAGES["docs/reference/exit-codes.md"].read_text(encoding="utf-8")
    for name in (
        "COLUMNS",
        "NO_COLOR",
        TRACEBACK_VARIABLE,
        "VAMPBENCH_CACHE",
        "ORT_DISABLE_TELEMETRY",
    ):
        assert f"| `{name}` |" in text
    assert "_VAMPBENCH_COMPLETE=bash_source" in text and "`--quiet`" in text


def test_the_page_of_json_has_the_codes_that_there_are() -> None:
    text = PAGES["docs/reference/json.md"].read_text(encoding="utf-8")
    codes = {*ACCEPTS}
    for literal in (VerdictCode, WhyCode, Near):
        codes |= set(get_args(literal))
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_the_built_in_sets_are_below_every_limit_as_the_page_says(runs: dict[str, Json]) -> None:
    sets = {each["name"]: each["bytes"] for each in runs["demo"]["sets"]}
    default = sets["int8-dynamic transformers, fp16 codec"]
    largest = max(default, runs["demo"]["totals"]["fp16"])
    assert largest < min(limit.bytes for limit in store_limits())


def _anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", PAGES)
def test_its_links_lead_somewhere(name: str) -> None:
    path = PAGES[name]
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        target, anchor = urldefrag(link)
        file = (path.parent / target).resolve() if target else path
        made = file == DOCS / COMMANDS and path != README
        inside = path == README or file.is_relative_to(DOCS)
        found = made or (file.exists() and inside)
        if not found or (anchor and anchor not in _anchors(file.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_the_site_lists_every_page() -> None:
    listed = re.findall(
        r": ?([\w/-]+\.md)$", (README.parent / "mkdocs.yml").read_text(), re.MULTILINE
    )
    listed += re.findall(
        r"^ +- ([\w/-]+\.md)$", (README.parent / "mkdocs.yml").read_text(), re.MULTILINE
    )
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(there | {COMMANDS})


def test_the_page_of_commands_has_all_of_them() -> None:
    text = page_of_commands(cli, "vampbench")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sorted(heads) == sorted(name for name, each in cli.commands.items() if not each.hidden)
    assert "Usage: vampbench run [OPTIONS] MODELS_DIR" in text
    assert "\x1b" not in text


def test_the_recipes_page_names_every_recipe() -> None:
    text = PAGES["docs/reference/recipes.md"].read_text(encoding="utf-8")
    assert [recipe.name for recipe in ALL_RECIPES if f"`{recipe.name}`" not in text] == []
