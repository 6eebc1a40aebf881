"""What every model of a job is fed with: the audio, its codes, and the reference chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.audio import load_audio_set
from calibration.clips import AudioSet
from calibration.feeds import (
    CALIBRATION_SIZES,
    EVALUATION_SIZES,
    Encoded,
    FeedSet,
    FeedSizes,
    encode_clips,
    halves,
    make_feeds,
    read_feeds,
)
from calibration.samples import builtin_audio_set
from vampnet_models.artifact import Artifact, open_artifact
from vampnet_models.builtin import builtin_models
from vampnet_models.errors import InputError
from vampnet_models.session import Session, open_session
from vampnet_models.spec import FILE_STEMS, Role
from workbench.console import Voice

MAX_CLIPS = 8
"""Clips per side: what the codec is fed, and where the transformers' codes come from."""

LARGE_BYTES = 256 * 1024 * 1024
"""Models of this size and more are fed fewer states: each takes seconds."""

LARGE_CALIBRATION_SIZES = FeedSizes(clips=3, coarse_states=8, c2f_states=8)
LARGE_EVALUATION_SIZES = FeedSizes(clips=6, coarse_states=24, c2f_states=20)


@dataclass(frozen=True)
class Ground:
    """The two sides of the audio with their codes; `coarse` conditions c2f as in the chain."""

    audio: AudioSet
    calibration: Encoded
    evaluation: Encoded
    coarse: Session | None
    warnings: tuple[str, ...]


def load_audio(folder: Path | None, voice: Voice) -> AudioSet:
    """The user's recordings, or the built-in pack. Raises InputError when nothing is usable."""
    with voice.task("reading audio") as update:
        audio = (
            builtin_audio_set()
            if folder is None
            else load_audio_set(folder, max_clips=MAX_CLIPS, progress=update)
        )
        update(1, 1)
    for dropped in audio.dropped:
        voice.warn(f"{dropped.name}: not used: {dropped.reason}")
    for warning in audio.warnings:
        voice.warn(warning)
    return audio


def lay_ground(
    artifacts: Sequence[Artifact], audio: AudioSet, scratch: Path, threads: int, voice: Voice
) -> Ground:
    """Encode both sides of the audio with the job's own encoder, or the built-in one.

    `scratch` receives the built-in models where they are needed.
    """
    warnings = []
    encoder = next((a for a in artifacts if a.role is Role.CODEC_ENCODER), None)
    if encoder is None:
        builtin = builtin_models(scratch)
        encoder = open_artifact(builtin / f"{FILE_STEMS[Role.CODEC_ENCODER]}.onnx")
        if any(a.role is not Role.GENERIC for a in artifacts):
            warnings.append(
                "no encoder among the models: codes come from the built-in small one, whose "
                "tokens are another codec's; put the matching encoder beside them"
            )
    coarse = next((a for a in artifacts if a.role is Role.COARSE), None)
    session = open_session(encoder.path, threads=threads)
    sides = []
    for name, clips in (("calibration", audio.calibration), ("evaluation", audio.evaluation)):
        with voice.task(f"encoding {name} audio") as update:
            sides.append(
                encode_clips(
                    session,
                    clips,
                    audio=audio.name,
                    upstream=encoder.sha256[:16],
                    progress=update,
                )
            )
    for warning in warnings:
        voice.warn(warning)
    return Ground(
        audio=audio,
        calibration=sides[0],
        evaluation=sides[1],
        coarse=open_session(coarse.path, threads=threads) if coarse is not None else None,
        warnings=tuple(warnings),
    )


def feeds_of(
    artifact: Artifact, ground: Ground, user_feeds: Path | None, threads: int, voice: Voice
) -> tuple[FeedSet, FeedSet]:
    """Calibration and evaluation feeds of one model; disjoint."""
    if artifact.role is Role.GENERIC and user_feeds is not None:
        return halves(read_feeds(user_feeds, artifact.spec))
    large = artifact.bytes >= LARGE_BYTES
    session = None
    if artifact.role not in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
        session = open_session(artifact.path, threads=threads)
    sides = (
        ("calibration", ground.calibration, CALIBRATION_SIZES, LARGE_CALIBRATION_SIZES, 0),
        ("evaluation", ground.evaluation, EVALUATION_SIZES, LARGE_EVALUATION_SIZES, 1),
    )
    found = []
    for name, encoded, small_sizes, large_sizes, seed in sides:
        with voice.task(f"{artifact.name}: {name} feeds") as update:
            found.append(
                make_feeds(
                    artifact.spec,
                    encoded,
                    large_sizes if large else small_sizes,
                    session=session,
                    coarse=ground.coarse,
                    seed=seed,
                    progress=update,
                )
            )
    return found[0], found[1]


def check_feeds(path: Path | None) -> None:
    """Raise InputError when a feeds file was named and is not there."""
    if path is not None and not path.is_file():
        raise InputError(f"{path}: no such file; give an .npz with the model's inputs")
