"""The page about Python runs from top to bottom, and names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import vampbench as vb
from docs.kept import DOCS

TEXT = (DOCS / "python.md").read_text(encoding="utf-8")


def test_the_page_names_all_that_the_package_offers() -> None:
    table = "".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", table)) == set(vb.__all__)


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
    assert printed[0] == "variants/int8-static/coarse.onnx 28% of its source"
    assert printed[-1].startswith("int7: no such recipe; choose one of fused, fp16, int8-static")
    assert any(re.fullmatch(r"ok 0\.9\d+ \(0\.9\d+, 0\.9\d+\)", line) for line in printed)
    assert (tmp_path / "variants" / "int8-static" / "detector.onnx").is_file()
