"""README is short, says first what one came for, and names what there is."""

from __future__ import annotations

import re

from docs.pages import README, figures_of
from vampbench.cli.main import cli

ROOT = README.parent
TEXT = README.read_text(encoding="utf-8")
LINES = TEXT.splitlines()


def test_it_is_short_and_comes_to_ones_own_files_early() -> None:
    assert len(LINES) <= 150
    own = next(
        n for n, line in enumerate(LINES, 1) if "vampbench import" in line and ".pth" in line
    )
    assert own < 60


def test_its_picture_is_small_and_is_shown() -> None:
    named = re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", TEXT)
    assert named
    for picture in named:
        assert (ROOT / picture).stat().st_size < 150_000


def test_every_command_is_in_its_table() -> None:
    rows = "".join(line for line in LINES if line.startswith("| `"))
    assert [
        name for name, each in cli.commands.items() if not each.hidden and f"`{name}`" not in rows
    ] == []


def test_make_lines_are_targets_of_the_makefile() -> None:
    named = set(re.findall(r"(?:`|\$ |^)make ([a-z-]+)", TEXT, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test", "docs"} <= named
    assert named <= targets


def test_its_code_is_twelve_lines_long() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(code.splitlines()) == 12
    compile(code, "README.md", "exec")


def test_figures_of_its_own_words_are_none() -> None:
    assert figures_of("It keeps 97 % in 2.1 x, `3 MB`.", ("%", "x", "MB")) == ["97 %", "2.1 x"]
    assert figures_of(TEXT, ("%", "x", "dB", "MB", "GB", "ms")) == []
