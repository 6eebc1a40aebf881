"""Models from Python: a file, or all of a folder."""

from __future__ import annotations

from pathlib import Path

from vampnet_models.chain.members import open_all
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, find_models
from vampnet_models.progress import Reporter


def open_models(path: str | Path) -> dict[str, Artifact]:
    """The .onnx models of a folder, or the one of a file, by name, in the chain's order.

    A name is the file's stem: `coarse` of `coarse.onnx`. Raises InputError where there is none, or
    one that cannot be read: a model that is missing later would be missed in silence.
    """
    given = Path(path)
    found, skipped = open_all(tuple(find_models(given)) if given.is_dir() else (given,), Reporter())
    if skipped:
        raise InputError(skipped[0]["reason"])
    return {artifact.name: artifact for artifact in found}
