"""Models from Python: a file, or all of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from optimize.variant import Variant
from vampnet_models.chain.members import open_all
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, find_models, open_artifact
from vampnet_models.progress import Reporter

AnyModel = Artifact | Variant | str | Path
"""A model as a caller has it: of `open_models`, of `build`, or the path of an .onnx file."""

Models = AnyModel | Mapping[str, AnyModel] | Iterable[AnyModel]
"""Models as a caller has them: one, a folder, or several, by name or not."""


def paths_of(models: Models) -> tuple[Path, ...]:
    """The files of models. Raises InputError for a folder that is not there or holds none."""
    if isinstance(models, Artifact | Variant):
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
        raise InputError(skipped[0].reason)
    return {artifact.name: artifact for artifact in found}


def as_artifact(model: AnyModel) -> Artifact:
    """The model, read. Raises InputError where it cannot be."""
    if isinstance(model, Artifact):
        return model
    return open_artifact(model.path if isinstance(model, Variant) else Path(model))
