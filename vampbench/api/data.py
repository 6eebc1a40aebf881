"""What models are fed with, as a caller has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.feeds.feedset import FeedSet
from calibration.feeds.generic import generic_feeds
from calibration.feeds.given import Given, InMemory, given_at, given_in_memory
from calibration.feeds.source import Source
from vampbench.api.bounds import MOST_STEPS, check_within, typed
from vampbench.api.models import AnyModel, as_artifact
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_output
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.npz import write_npz

AnyData = Source | AudioSet | InMemory | str | Path | None
"""Of `split_audio`, arrays by input, samples of them, or a path: of recordings, or .npz files."""


def as_source(given: AnyData, evaluation: AnyData = None, *, judging: bool = False) -> Source:
    """The source of a call's data; None is the built-in recordings. `evaluation` judges alone.

    A path is one of feeds where it is, or holds, an .npz file. All feeds of a call calibrate, or
    all of them judge (`judging`). Raises InputError where nothing lies at a path, for a file of
    another kind, or for arrays of another form, and for recordings that are split already where
    others are to judge.
    """
    if evaluation is not None:
        return _two_sided(as_source(given), as_source(evaluation, judging=True))
    if given is None:
        return Source()
    if isinstance(given, Source):
        return given
    if isinstance(given, AudioSet):
        return Source(given)
    if not isinstance(given, str | Path):
        return _feeding(given_in_memory(given), judging)
    path = Path(given)
    if path.suffix != ".npz" and not path.exists():
        raise InputError(f"{path}: no such folder; give a folder of sound files, or an .npz")
    if path.suffix != ".npz" and path.is_file():
        raise InputError(f"{path}: is no .npz file; give one, or a folder of recordings")
    found = (next(path.glob(pattern), None) for pattern in ("*.npz", "*/*.npz"))
    if path.suffix == ".npz" or any(found):
        return _feeding(given_at(path), judging)
    return Source(path)


def _two_sided(ours: Source, judging: Source) -> Source:
    if isinstance(judging.audio, AudioSet) or (
        judging.audio is not None and isinstance(ours.audio, AudioSet)
    ):
        raise InputError(
            "evaluation: recordings are split already; give `split_audio(folder, evaluation=...)` "
            "as data, or a folder for each"
        )
    return replace(ours, evaluation_audio=judging.audio, evaluation_feeds=judging.evaluation_feeds)


def _feeding(feeds: Given, judging: bool) -> Source:
    return Source(evaluation_feeds=feeds) if judging else Source(feeds=feeds)


@typed
def feeds_template(
    model: AnyModel, output: str | Path, *, samples: int = 2, seed: int = 0, force: bool = False
) -> FeedSet:
    """Write an .npz of feeds: random values of the right types under the inputs' names.

    Several samples stand under `NAME/0`, `NAME/1`, ...; free sizes are the first that the model
    runs with, which `warnings` of what is returned speak of where there is none. Raises InputError
    for a model without inputs or with some that no array can be, and for an `output` that is there
    already: recorded values may stand in it; with `force` it is overwritten.
    """
    artifact, path = as_artifact(model), Path(output)
    if path.suffix != ".npz":
        raise InputError(f"{path}: feeds are an .npz file; give a name that ends so")
    check_output(path, artifact.path)
    check_within("samples", samples, 1, MOST_STEPS, whole=True)
    check_within("seed", seed, 0, whole=True)
    if path.exists() and not force:
        raise InputError(
            f"{path}: is there already; name another file, or overwrite it with --force"
        )
    if not artifact.spec.inputs:
        raise InputError(f"{artifact.path}: takes no inputs, so there is nothing to feed")
    session = open_session(artifact.path)
    found = generic_feeds(artifact.spec, session, samples, seed, must_run=False)
    arrays = {f"{name}/{i}": v for i, feed in enumerate(found.feeds) for name, v in feed.items()}
    write_npz(path, arrays if samples > 1 else found.feeds[0])
    return found
