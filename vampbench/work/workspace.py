"""The folder that a run writes: what lies where, and what is remembered between runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, cannot_write
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Results


@dataclass(frozen=True)
class Workspace:
    """Paths below the output folder."""

    root: Path

    @property
    def results(self) -> Path:
        """Everything that was found, for machines."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """Everything that was found, for people."""
        return self.root / "report.html"

    @property
    def tuning(self) -> Path:
        """What a search found and chose, for machines; there is none of a run."""
        return self.root / "tune.json"

    def variant(self, recipe: str, model: str) -> Path:
        """Where the variant of a model is written."""
        return self.root / "variants" / recipe / f"{model}.onnx"

    def golden(self, model: str) -> Path:
        """A feed of a model and its source's answer, for a bundle."""
        return self.root / "golden" / f"{model}.npz"

    def work(self, *parts: str) -> Path:
        """Feeds, answers and remembered steps; safe to delete."""
        return self.root.joinpath("work", *parts)

    def check_models(self, models: Sequence[Artifact]) -> None:
        """Raise InputError where the folder holds results of other models: they would be lost.

        A model at the same path is the same one, even where it was exported again.
        """
        try:
            held = read_record(Results, RESULTS, self.results).models
        except InputError:
            return  # there is none, or nothing that could be read again
        hashes = {model.source_sha256 for model in held}
        paths = {(self.root / (model.path or "")).resolve() for model in held}
        if not held or any(m.sha256 in hashes or m.path.resolve() in paths for m in models):
            return
        names = ", ".join(model.name for model in held)
        raise InputError(
            f"{self.root}: holds the results of other models ({names}); give another folder, or "
            "delete this one"
        )

    def open(self) -> None:
        """Make the folder. Raises InputError when it cannot be written."""
        probe = self.root / ".writable"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise cannot_write(self.root, error) from error


def relative_to(root: Path, path: Path) -> str:
    """The path as a file in `root` names it, so that both can be moved together."""
    there = path.parent.resolve() / path.name
    return Path(os.path.relpath(there, root.resolve())).as_posix()
