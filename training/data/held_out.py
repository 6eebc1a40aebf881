"""What nothing was trained or chosen on: it judges, and does nothing else."""

from __future__ import annotations

from pathlib import Path

from training.config import HOP_SAMPLES, SAMPLE_RATE_HZ
from training.data.audio import Audio
from training.data.pool import renditions
from training.data.scores import Side, Work
from training.data.sounds import HELD_OUT_RECORDINGS, recordings

HELD_OUT_SEED, VALIDATION_SEED = 90, 7


def held_out_recordings(folder: Path) -> dict[str, Audio]:
    """The recordings that no stage has seen, at -24 LUFS."""
    return recordings(folder, HELD_OUT_RECORDINGS)


def excerpts(works: list[Work], side: Side, count: int, duration_s: float) -> list[Audio]:
    """The middle of `count` renditions of one side, whole token frames of `duration_s`."""
    seed = HELD_OUT_SEED if side == "held_out" else VALIDATION_SEED
    start = 10 * SAMPLE_RATE_HZ
    samples = int(SAMPLE_RATE_HZ * duration_s) // HOP_SAMPLES * HOP_SAMPLES
    return [track[start : start + samples] for track in renditions(works, side, count, seed)]
