"""The site is built without a warning, and a browser that opens it asks no other machine."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import README

FETCHED = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
)
"""What a browser fetches on its own; a link that one clicks is none."""


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is missing")
def test_the_site_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=README.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    made = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.html")}
    assert {"index.html", "reference/commands.html", "results/demo.html"} <= set(made)
    for path in (*made.values(), *tmp_path.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        assert FETCHED.findall(text) == [], path
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", text), path
    assert "<table>" in made["results/demo.html"].read_text(encoding="utf-8")
    assert not list(tmp_path.rglob("*.py")) and not list(tmp_path.rglob("*-results.json"))


def test_what_would_be_fetched_is_seen() -> None:
    assert FETCHED.findall('<script src="https://a.b/c.js"></script>')
    assert FETCHED.findall('<link rel="stylesheet" href="//fonts.example/css">')
    assert FETCHED.findall('<a href="https://a.b/">x</a><img src="c.png">') == []
