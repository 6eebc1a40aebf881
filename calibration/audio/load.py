"""Sound files -> clips as the codec expects them: mono, 44.1 kHz, -24 LUFS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from calibration.audio.clips import MASTER_RATE_HZ, MIN_SAMPLES, AudioSet, Clip, Dropped, make_clip
from calibration.audio.decode import RAW_SUFFIX, decode
from calibration.audio.loudness import TARGET_LUFS, normalise_loudness
from calibration.audio.split import Piece, Recording, split, survey
from vampnet_models.errors import InputError
from vampnet_models.progress import Progress

_SILENT_PEAK = 10 ** (-90 / 20)
"""A recording whose peak lies below -90 dBFS holds nothing that a codec could be judged on."""

CLIP_S = 5.0
"""Of a clip, by default."""

_KEEP_BYTES = 512 * 1024 * 1024
"""Recordings beyond this are read a second time rather than held in memory."""

_CLIPPED_SHARE = 0.001
_OFFSET = 0.05
"""Of the peak: a mean that is farther from 0 comes of a faulty converter. Nobody hears it, but an
encoder's activations follow it, beyond what other sound shows, and louder sound makes it larger."""

_SOUND_SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} - {RAW_SUFFIX} | {
    ".aif",
    ".aifc",
    ".snd",
    ".oga",
    ".opus",
    ".sph",
    ".mp1",
    ".mp2",
}


def read_audio(path: Path) -> Clip:
    """Read a whole file of any rate, channel count and format that libsndfile knows.

    Channels are averaged, the rate becomes 44.1 kHz, the loudness -24 LUFS with a peak of at
    most 1.0. A DC offset is subtracted. The clip carries a warning when the file has one, or is
    clipped.

    Raises InputError: missing or unreadable, a rate, channels or samples out of bounds, longer
    than 30 minutes, shorter than one token frame (768 samples), silent, or holding NaN or
    infinity.
    """
    sound = decode(path)
    if len(sound.samples) < MIN_SAMPLES:
        raise InputError(
            f"{path}: {sound.n_frames} samples at {sound.rate_hz} Hz are less than one token frame "
            f"({MIN_SAMPLES / MASTER_RATE_HZ * 1000:.0f} ms); give a longer one"
        )
    samples = sound.samples
    peak = float(max(samples.max(), -samples.min()))
    if peak < _SILENT_PEAK:
        mixed = f" after mixing its {sound.channels} channels" if sound.channels > 1 else ""
        raise InputError(f"{path}: silent{mixed}; give a recording with sound in it")
    warnings: list[str] = []
    if sound.clipped_share > _CLIPPED_SHARE:
        warnings.append(f"{path.name}: {sound.clipped_share:.1%} of its samples are clipped")
    mean = float(samples.mean(dtype=np.float64))
    if abs(mean) > _OFFSET * peak:
        warnings.append(
            f"{path.name}: its samples have a mean of {mean / peak:.0%} of their peak (a DC "
            "offset), which nobody hears and the codec encodes: it is subtracted; do so in your "
            "program too"
        )
        samples = samples - np.float32(mean)
    samples = normalise_loudness(samples, MASTER_RATE_HZ, TARGET_LUFS)
    return make_clip(path.stem, samples, str(path), tuple(warnings))


@dataclass(frozen=True)
class Folder:
    """The usable recordings of a folder, the samples that fit in memory, and what was left out."""

    name: str
    recordings: tuple[Recording, ...]
    kept: dict[str, NDArray[np.float32]] = field(repr=False)
    dropped: tuple[Dropped, ...] = ()


def load_audio_set(
    folder: Path,
    *,
    clip_s: float = CLIP_S,
    max_clips: int | None = None,
    max_judging: int | None = None,
    progress: Progress | None = None,
) -> AudioSet:
    """Read every sound file below `folder` and split into calibration and evaluation.

    `clip_s` is the length of a clip, `max_clips` the most clips per side, `max_judging` of
    evaluation where that takes another number. Every file that is not used stands in `dropped` with
    its reason, hidden files apart.

    Raises InputError when the folder is missing or nothing usable remains.
    """
    if max_clips is not None and max_clips < 1:
        raise InputError(f"{max_clips} clips per side are too few; allow at least 1")
    found = read_folder(folder, clip_s, progress)
    recordings = found.recordings
    if len(recordings) == 1 and len(recordings[0].pieces) == 1:
        clip = read_audio(Path(recordings[0].source))
        recordings = (survey(recordings[0].name, clip, clip.duration_s / 2),)
    chosen = split(found.name, recordings, max_clips, max_judging)
    return AudioSet(
        name=found.name,
        calibration=fetch(chosen.calibration, found.kept),
        evaluation=fetch(chosen.evaluation, found.kept),
        dropped=(*found.dropped, *chosen.dropped),
        about_recordings=chosen.warnings,
    )


def read_folder(folder: Path, clip_s: float, progress: Progress | None = None) -> Folder:
    """Read every sound file below `folder` once and survey where it is cut.

    Raises InputError when the folder is missing or holds nothing usable.
    """
    if clip_s * MASTER_RATE_HZ < MIN_SAMPLES:
        raise InputError(f"clips of {clip_s} s are shorter than one token frame; take 1 s or more")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of sound files")
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _hidden(p, folder)]
    recordings: list[Recording] = []
    kept: dict[str, NDArray[np.float32]] = {}
    dropped: list[Dropped] = []
    seen: dict[str, str] = {}
    for done, path in enumerate(files):
        name = path.relative_to(folder).as_posix()
        if progress is not None:
            progress(done, len(files))
        if path.suffix.lower() not in _SOUND_SUFFIXES:
            dropped.append(Dropped(name, "its name has no suffix of a readable sound format"))
            continue
        try:
            clip = read_audio(path)
        except InputError as error:
            dropped.append(Dropped(name, str(error).removeprefix(f"{path}: ")))
            continue
        if clip.sha256 in seen:
            dropped.append(Dropped(name, f"the same content as {seen[clip.sha256]}"))
            continue
        seen[clip.sha256] = name
        recordings.append(survey(name[: -len(path.suffix)], clip, clip_s))
        if sum(held.nbytes for held in kept.values()) + clip.samples.nbytes <= _KEEP_BYTES:
            kept[clip.source] = clip.samples
    if progress is not None:
        progress(len(files), len(files))
    if not recordings:
        raise InputError(f"{folder}: holds no usable sound file{_why(dropped)}; add recordings")
    return Folder(folder.resolve().name, tuple(recordings), kept, tuple(dropped))


def fetch(pieces: tuple[Piece, ...], kept: dict[str, NDArray[np.float32]]) -> tuple[Clip, ...]:
    """The pieces' samples, from memory or from their files again."""
    clips = []
    source, samples = "", np.zeros(0, np.float32)
    for piece in pieces:
        if piece.source != source:
            source = piece.source
            samples = kept[source] if source in kept else read_audio(Path(source)).samples
        cut = samples[piece.start : piece.stop].copy()
        clip = make_clip(piece.name, cut, source, recording=piece.recording)
        if clip.sha256 != piece.sha256:
            raise InputError(f"{source}: changed while it was read; run again")
        clips.append(clip)
    return tuple(clips)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _why(dropped: list[Dropped]) -> str:
    if not dropped:
        return ""
    more = f" and {len(dropped) - 1} more" if len(dropped) > 1 else ""
    return f" ({dropped[0].name}: {dropped[0].reason.split(';')[0]}{more})"
