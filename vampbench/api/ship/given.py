"""The models of a whole job, as a caller has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibration.feeds.source import Source
from vampbench.api.models import Models, each_of, paths_of, rate_of
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_folder
from vampnet_models.onnxfile.outputs import check_apart
from vampnet_models.progress import Reporter


def given_models(
    models: Models | None, out: Path, source: Source, reporter: Reporter
) -> tuple[tuple[Path, ...], Source]:
    """The files of a job's models, and the source at their rate; None are the built-in ones.

    Raises InputError where there is none, where two have one name, under which each is kept in
    `out`, and where `out` is or lies in a folder that is read.
    """
    if models is None:
        check_apart(out, *source.folders)
        check_folder(out)
        with reporter.task("writing the built-in models") as update:
            update(0, 1)
            paths = paths_of(builtin_models(out))
            update(1, 1)
        return paths, source
    each = each_of(models)
    check_apart(out, *(Path(m) for m in each if isinstance(m, str | Path)), *source.folders)
    check_folder(out)
    paths = paths_of(each)
    if not paths:
        raise InputError("no model was given; give one at least")
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(path.stem, path)
        if other is not path:
            raise InputError(f"{path}: has the name of {other}; give each model one of its own")
    return paths, replace(source, sample_rate_hz=source.sample_rate_hz or rate_of(each))
