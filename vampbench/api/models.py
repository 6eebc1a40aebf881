"""Models from Python: a file, or all of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from optimize.variant import Variant
from vampbench.api.bounds import check_within, typed
from vampnet_models.chain.families import in_family
from vampnet_models.chain.members import open_all
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, find_models, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.text import a_type

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
    return tuple(path for model in each_of(models) for path in paths_of(model))


def rate_of(models: Models) -> int | None:
    """The sample rate in Hz of the models that are opened; None where none or several have one."""
    families = [each.spec.family for each in each_of(models) if isinstance(each, Artifact)]
    rates = {family.sample_rate_hz for family in families if family is not None}
    return rates.pop() if len(rates) == 1 else None


def each_of(models: Models) -> tuple[AnyModel, ...]:
    """One by one: an iterator is read here, once. Raises InputError for what is no models."""
    if isinstance(models, Artifact | Variant | str | Path):
        return (models,)
    if not isinstance(models, Iterable):
        raise InputError(
            f"models: is {a_type(models)}; give models of `open_models`, or the path of a file or "
            "folder"
        )
    return tuple(models.values() if isinstance(models, Mapping) else models)


@typed
def open_models(path: str | Path, *, sample_rate_hz: int | None = None) -> dict[str, Artifact]:
    """The .onnx models of a folder, or the one of a file, by name, in the chain's order.

    A name is the file's stem: `coarse` of `coarse.onnx`. `sample_rate_hz` is that of a codec of
    which its file does not tell it. Raises InputError where there is none, or one that cannot be
    read: a model that is missing later would be missed in silence.
    """
    check_within("sample_rate_hz", sample_rate_hz, 1, whole=True)
    given = Path(path)
    if not given.is_dir():
        artifact = as_artifact(given, sample_rate_hz)
        return {artifact.name: artifact}
    found, skipped = open_all(tuple(find_models(given)), Reporter(), sample_rate_hz)
    if skipped:
        raise InputError(skipped[0].reason)
    return {artifact.name: artifact for artifact in found}


def as_artifact(model: AnyModel, sample_rate_hz: int | None = None) -> Artifact:
    """The model, read; the rate is as for `open_models`. Raises InputError where it cannot be."""
    if not isinstance(model, Artifact | Variant | str | Path):
        raise InputError(
            f"model: is {a_type(model)}; give one of `open_models`, or an .onnx file's path"
        )
    if not isinstance(model, Artifact):
        model = open_artifact(model.path if isinstance(model, Variant) else Path(model))
    return in_family([model], sample_rate_hz)[0]
