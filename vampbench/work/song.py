"""Same song, as a step of the job: what each variant of a transformer plays beside FP32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from calibration.feeds.chain_inputs import ChainInputs
from optimize.truth.song.prompts import Prompts, prompts_of, told
from optimize.truth.song.same_song import (
    WAY_OF_PLAYING,
    SongTruth,
    same_song,
    song_truth,
    unplayable,
)
from vampbench.work.workspace import Workspace
from vampnet_models.cache import key_of, remember
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import Figure
from vampnet_models.records.files import recall_record
from vampnet_models.records.generic import as_json
from vampnet_models.records.results import Variant
from vampnet_models.spec import Role

PLAYING = (Role.COARSE, Role.C2F)
"""The models that play."""


def check_playing(artifacts: Sequence[Artifact]) -> None:
    """Raise InputError where no model plays: before anything is heard."""
    if all(artifact.role not in PLAYING for artifact in artifacts):
        raise InputError(
            "same song: no transformer is among the models: nothing plays; leave --song out"
        )


def prompts_for(inputs: ChainInputs, reporter: Reporter) -> tuple[Prompts, ...]:
    """What the models of a job play from, by length; said once.

    Raises InputError where there is too little to play from.
    """
    if not inputs.evaluation.codes:
        raise InputError(
            "same song: plays from recordings, and none is read: leave --feeds or --song out"
        )
    found = prompts_of(inputs.evaluation, inputs.family)
    reporter.note(told(found))
    return found


def with_songs(
    artifact: Artifact,
    variants: Sequence[Variant],
    prompts: Sequence[Prompts],
    space: Workspace,
    reporter: Reporter,
) -> tuple[Variant, ...]:
    """The variants with their share of FP32's song, kept from before or played now.

    The shorter prompts' first. Why a variant has none is a note of its accuracy, and said.
    """
    found = tuple(variants)
    if prompts and (why := unplayable(artifact)) is not None:
        reporter.warn(f"{artifact.name}: {why}")
        return tuple(_noted(variant, why) for variant in found)
    for number, each in enumerate(prompts):
        truth = cache(lambda each=each: _truth(artifact, each, reporter))
        found = tuple(
            _with_song(artifact, variant, number, each, truth, space, reporter) for variant in found
        )
    return found


def _with_song(
    artifact: Artifact,
    variant: Variant,
    number: int,
    prompts: Prompts,
    truth: Callable[[], SongTruth],
    space: Workspace,
    reporter: Reporter,
) -> Variant:
    reporter.reach()
    accuracy, made = variant.accuracy, variant.record
    if not variant.usable or accuracy is None or made is None or variant.path is None:
        return variant
    try:
        with contained():
            key = key_of(artifact.sha256, prompts.sha256, WAY_OF_PLAYING, made.sha256)
            path = space.work("song", artifact.name, f"{variant.recipe}.{prompts.frames}.json")
            figure = recall_record(Figure, path, key)
            if figure is None:
                against = truth()
                with reporter.task(f"{artifact.name}: playing {variant.recipe}") as update:
                    figure = same_song(against, open_artifact(space.root / variant.path), update)
                remember(path, key, as_json(figure))
            else:
                reporter.keep(f"song of {variant.recipe}")
    except WorkbenchError as error:
        reporter.warn(f"{artifact.name}: {variant.recipe}: {error}")
        return _noted(variant, str(error))
    heard = (
        replace(accuracy, same_song_long=figure) if number else replace(accuracy, same_song=figure)
    )
    return replace(variant, accuracy=heard)


def _noted(variant: Variant, why: str) -> Variant:
    found = variant.accuracy
    if found is None:
        return variant
    return replace(variant, accuracy=replace(found, notes=(*found.notes, why)))


def _truth(artifact: Artifact, prompts: Prompts, reporter: Reporter) -> SongTruth:
    with reporter.task(f"{artifact.name}: playing FP32, {prompts.frames} frames") as update:
        return song_truth(artifact, prompts, update)
