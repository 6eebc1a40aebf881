"""The page about Python runs from top to bottom, and names what there is."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vampbench as vb
from docs.kept import DOCS
from vampbench.cli.commands import SECTIONS

TEXT = (DOCS / "python.md").read_text(encoding="utf-8")


def test_the_page_names_all_that_the_package_offers() -> None:
    table = "".join(
        line
        for line in TEXT.splitlines()
        if line.startswith("| `") and not line.startswith("| `vampbench ")
    )
    assert set(re.findall(r"`(\w+)`", table)) == set(vb.__all__)


def test_every_command_names_its_function() -> None:
    """And each of these functions is there."""
    rows = re.findall(r"^\| `vampbench ([\w-]+)` \| (.*) \|$", TEXT, re.MULTILINE)
    assert [command for command, _ in rows] == [
        listed.name for section in SECTIONS.values() for listed in section
    ]
    for _, told in rows:
        names = re.findall(r"`([\w.]+)`", told)
        assert names
        for name in names:
            module, _, function = name.rpartition(".")
            assert callable(getattr(importlib.import_module(module), function)), name


@pytest.mark.long
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    printed = done.stdout.splitlines()
    assert printed[0] == "variants/int8-static/coarse.onnx 29% of its source"
    assert printed[-1].startswith("int7: no such recipe; choose one of fused, fp16, int8-static")
    assert any(re.fullmatch(r"ok 0\.9\d+ \(0\.9\d+, 0\.9\d+\)", line) for line in printed)
    assert (tmp_path / "variants" / "int8-static" / "detector.onnx").is_file()
    assert "True out/all/report.html" in printed
    assert (tmp_path / "out" / "shipped" / "manifest.json").is_file()
