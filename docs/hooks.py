"""MkDocs: the page of commands is made as the site is built, so that it is never behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

# MkDocs takes the path back once this module is loaded: what it needs is imported here.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.commands import page
from vampbench.cli.main import cli

COMMANDS = "reference/commands.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated page to what the site is built of."""
    from mkdocs.structure.files import File  # MkDocs is here when it calls this, not in tests

    files.append(File.generated(config, COMMANDS, content=page(cli, "vampbench")))
    return files
