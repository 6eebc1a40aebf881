"""Only tests of the commands and of the pages about them know the command line."""

from __future__ import annotations

import re
from pathlib import Path

_TESTS = Path(__file__).parents[1]
_IMPORT = re.compile(r"^\s*(?:from|import) vampbench\.cli\b", re.MULTILINE)
_OF_COMMANDS = {_TESTS / "vampbench", _TESTS / "docs"}


def test_work_is_tested_without_the_command_line() -> None:
    knowing = [p for p in _TESTS.rglob("*.py") if _IMPORT.search(p.read_text(encoding="utf-8"))]
    assert _TESTS / "vampbench" / "conftest.py" in knowing
    assert [p for p in knowing if not _OF_COMMANDS & set(p.parents)] == []
