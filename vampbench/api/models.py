"""Models from Python: a file, or all of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vampnet_models.chain.members import open_all
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, find_models
from vampnet_models.progress import Reporter

Models = str | Path | Artifact | Mapping[str, Artifact] | Iterable[str | Path | Artifact]
"""Models as a caller has them: a file, a folder, or what `open_models` gave, all or some of it."""


def paths_of(models: Models) -> tuple[Path, ...]:
    """The files of models. Raises InputError for a folder that is not there or holds none."""
    if isinstance(models, Artifact):
        return (models.path,)
    if isinstance(models, str | Path):
        given = Path(models)
        return (given,) if given.is_file() else tuple(find_models(given))
    each = models.values() if isinstance(models, Mapping) else models
    return tuple(path for model in each for path in paths_of(model))


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
