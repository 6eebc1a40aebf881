"""The folder that a whole job writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vampbench.work.workspace import Workspace


@dataclass(frozen=True)
class JobFolder:
    """Where a job's files lie.

    Attributes:
        output: its folder.
    """

    output: Path

    @property
    def results_path(self) -> Path:
        """results.json; of a search, that of the set that was chosen."""
        return Workspace(self.output).results

    @property
    def report_path(self) -> Path:
        """The offline HTML report; of a search, that of the set that was chosen."""
        return Workspace(self.output).report
