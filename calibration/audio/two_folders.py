"""Calibration and evaluation audio from two folders, for a judgement on recordings of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibration.audio.clips import BOTH_SIDES, AudioSet, Clip, Dropped, Side
from calibration.audio.load import CLIP_S, fetch, load_audio_set, read_folder
from calibration.audio.samples import PACK_CLIP_S, builtin_audio_set
from calibration.audio.split import one_side
from vampnet_models.errors import InputError
from vampnet_models.progress import Progress, Reporter

_MAX_CLIPS = 8
"""Clips that calibrate: what the codec is fed, and where the transformers' codes come from."""

_MAX_JUDGING = 24
"""Clips that judge: of fewer than 20 an interval cannot tell."""


def _load_two_folders(
    calibration: Path | None,
    evaluation: Path,
    *,
    clip_s: float = CLIP_S,
    max_clips: int | None = None,
    max_judging: int | None = None,
    progress: Progress | None = None,
) -> AudioSet:
    """Calibrate on one folder (or on the built-in pack's calibration side), judge on another.

    What occurs on both sides is used for evaluation alone and stands in `dropped`. `clip_s`,
    `max_clips` and `max_judging` are as for `load_audio_set`.

    Raises InputError when a folder is missing or nothing usable remains for a side.
    """
    judged = read_folder(evaluation, clip_s, progress)
    known: dict[str, str] = {}
    pieces, dropped = one_side(judged.recordings, known, max_judging or max_clips)
    clips, more = _calibration(calibration, known, clip_s, max_clips)
    if not clips:
        raise InputError(
            f"{calibration}: nothing is left to calibrate on, all of it is in {evaluation} too; "
            "give other recordings for one of the two"
        )
    warnings = [line for recording in judged.recordings for line in recording.warnings]
    return AudioSet(
        name=f"{'builtin' if calibration is None else calibration.resolve().name} | {judged.name}",
        calibration=clips,
        evaluation=fetch(pieces, judged.kept),
        dropped=(*judged.dropped, *dropped, *more),
        about_recordings=tuple(warnings),
    )


def _calibration(
    folder: Path | None, known: dict[str, str], clip_s: float, max_clips: int | None
) -> tuple[tuple[Clip, ...], tuple[Dropped, ...]]:
    """The clips that evaluation has not, and what was left out."""
    if folder is None:
        return builtin_audio_set(min(clip_s, PACK_CLIP_S)).calibration, ()
    found = read_folder(folder, clip_s)
    pieces, dropped = one_side(found.recordings, known, max_clips)
    return fetch(pieces, found.kept), (*found.dropped, *dropped)


def load_audio(
    folder: Path | None,
    reporter: Reporter,
    judged: Path | None = None,
    clip_s: float | None = None,
    sides: Sequence[Side] = BOTH_SIDES,
) -> AudioSet:
    """The user's recordings, or the built-in pack; `judged` is a folder for evaluation alone.

    A clip has `clip_s` seconds at most; by default 5 of recordings and 3 of the pack, which has 6.
    Nothing is told of a side that is not among `sides`.
    Raises InputError when nothing is usable.
    """
    length_s = CLIP_S if clip_s is None else clip_s
    for given in (folder, judged):
        if given is not None and given.is_file():
            raise InputError(f"{given}: is a file; give the folder that holds it")
    with reporter.task("reading audio") as update:
        if judged is not None:
            audio = _load_two_folders(
                folder,
                judged,
                clip_s=length_s,
                max_clips=_MAX_CLIPS,
                max_judging=_MAX_JUDGING,
                progress=update,
            )
        elif folder is not None:
            audio = load_audio_set(
                folder,
                clip_s=length_s,
                max_clips=_MAX_CLIPS,
                max_judging=_MAX_JUDGING,
                progress=update,
            )
        else:
            audio = builtin_audio_set() if clip_s is None else builtin_audio_set(clip_s)
        update(1, 1)
    if folder is not None or judged is not None:
        reporter.note(f"recordings: {audio.told(sides)}")
    for dropped in audio.dropped:
        reporter.warn(f"{dropped.name}: not used: {dropped.reason}")
    for warning in audio.warnings_of(sides):
        reporter.warn(warning)
    return audio
