"""Recordings -> calibration and evaluation pieces that share no content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.audio.clips import MASTER_RATE_HZ, MIN_SAMPLES, Clip, Dropped, content_sha256
from vampnet_models.errors import InputError

_COUNTED_PIECES = 2
"""Of a recording, where the sides are made equal: five recordings that judge say more of other
music than one as long as all of them."""


@dataclass(frozen=True)
class Piece:
    """Samples `start` to `stop` of a recording, not held in memory."""

    name: str
    recording: str
    source: str
    start: int
    stop: int
    sha256: str


@dataclass(frozen=True)
class Recording:
    """A file's content and where it would be cut."""

    name: str
    source: str
    sha256: str
    n_samples: int
    pieces: tuple[Piece, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """The outcome of `split`."""

    calibration: tuple[Piece, ...]
    evaluation: tuple[Piece, ...]
    dropped: tuple[Dropped, ...]
    warnings: tuple[str, ...]


def survey(name: str, clip: Clip, clip_s: float) -> Recording:
    """Where a recording is cut into pieces of `clip_s` seconds; the last one may be shorter.

    A tail below one token frame (768 samples, 17 ms) is left out: it has no token of its own.
    """
    size = max(MIN_SAMPLES, round(clip_s * MASTER_RATE_HZ))
    n = len(clip.samples)
    pieces = []
    for start in range(0, n, size):
        stop = min(n, start + size)
        if stop - start >= MIN_SAMPLES:
            label = name if n <= size else f"{name}@{start / MASTER_RATE_HZ:.1f}s"
            digest = content_sha256(clip.samples[start:stop])
            pieces.append(Piece(label, name, clip.source, start, stop, digest))
    return Recording(name, clip.source, clip.sha256, n, tuple(pieces), clip.warnings)


def split(
    name: str,
    recordings: Sequence[Recording],
    max_clips: int | None,
    max_judging: int | None = None,
) -> Split:
    """Divide whole recordings by content; a single recording by its halves.

    File names do not matter: the longest recording goes to evaluation, and each next one to
    the side that has less so far; equal lengths are ordered by content hash. A recording counts as
    two pieces at most, so that a long one does not judge alone. With `max_clips`
    per side (`max_judging` for evaluation, where it is given) the pieces are drawn from all of the
    side's recordings in turn, in the order of their content hashes.

    Raises InputError when nothing remains for one of the sides.
    """
    warnings = [line for recording in recordings for line in recording.warnings]
    if len(recordings) == 1:
        pieces = recordings[0].pieces
        middle = (len(pieces) + 1) // 2
        sides = [pieces[:middle]], [pieces[middle:]]
        warnings.append(
            f"one usable recording ({recordings[0].name}): its first half calibrates and its "
            "second half evaluates, so the two are not independent; add recordings"
        )
    else:
        sides = _divide(recordings)
    known: dict[str, str] = {}
    dropped: list[Dropped] = []
    calibration = _draw([_unseen(pieces, known, dropped) for pieces in sides[0]], max_clips)
    judging = [_unseen(pieces, known, dropped) for pieces in sides[1]]
    evaluation = _draw(judging, max_judging or max_clips)
    if not calibration or not evaluation:
        raise InputError(
            f"{name}: too little different audio to calibrate on one part and to evaluate on "
            "another; add recordings"
        )
    return Split(calibration, evaluation, tuple(dropped), tuple(warnings))


def one_side(
    recordings: Sequence[Recording], known: dict[str, str], max_clips: int | None
) -> tuple[tuple[Piece, ...], tuple[Dropped, ...]]:
    """All pieces of the recordings, at most `max_clips`; what is in `known` already is dropped.

    `known` maps content hashes to names and receives the pieces' own.
    """
    dropped: list[Dropped] = []
    fresh = [_unseen(recording.pieces, known, dropped) for recording in recordings]
    return _draw(fresh, max_clips), tuple(dropped)


def _divide(
    recordings: Sequence[Recording],
) -> tuple[list[tuple[Piece, ...]], list[tuple[Piece, ...]]]:
    calibration: list[tuple[Piece, ...]] = []
    evaluation: list[tuple[Piece, ...]] = []
    lengths = [0, 0]
    for recording in sorted(recordings, key=lambda r: (-_counted(r), r.sha256)):
        side = 0 if lengths[0] < lengths[1] else 1
        (calibration, evaluation)[side].append(recording.pieces)
        lengths[side] += _counted(recording)
    return calibration, evaluation


def _counted(recording: Recording) -> int:
    return sum(piece.stop - piece.start for piece in recording.pieces[:_COUNTED_PIECES])


def _unseen(pieces: Sequence[Piece], known: dict[str, str], dropped: list[Dropped]) -> list[Piece]:
    """The pieces whose content has not occurred; the others go to `dropped`."""
    fresh = []
    for piece in pieces:
        if piece.sha256 in known:
            reason = f"the same content as {known[piece.sha256]}"
            dropped.append(Dropped(piece.name, reason))
        else:
            known[piece.sha256] = piece.name
            fresh.append(piece)
    return fresh


def _draw(per_recording: Sequence[list[Piece]], max_clips: int | None) -> tuple[Piece, ...]:
    """At most `max_clips`, one of each recording in turn; the chosen ones in time order."""
    total = sum(map(len, per_recording))
    limit = total if max_clips is None else min(total, max_clips)
    quota = [0] * len(per_recording)
    while sum(quota) < limit:
        for i, pieces in enumerate(per_recording):
            if quota[i] < len(pieces) and sum(quota) < limit:
                quota[i] += 1
    chosen: list[Piece] = []
    for pieces, n in zip(per_recording, quota, strict=True):
        drawn = {piece.sha256 for piece in sorted(pieces, key=lambda p: p.sha256)[:n]}
        chosen.extend(piece for piece in pieces if piece.sha256 in drawn)
    return tuple(chosen)
