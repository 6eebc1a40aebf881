"""A recording's beats, as a beat tracker hears them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.audio.clips import Clip
from calibration.feeds.chain_feeds import at_beat_rate
from optimize.truth.beats import Times, beat_times_s, frame_s
from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ as BEAT_RATE_HZ
from vampnet_models.errors import InputError
from vampnet_models.family import Family
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import Role


def check_tracker(model: Path) -> Artifact:
    """The beat tracker at `model`. Raises InputError when it is none."""
    artifact = open_artifact(model)
    if artifact.role is not Role.BEATS:
        raise InputError(
            f"{model}: is a {artifact.role.value} model, not a {Role.BEATS.value} one; "
            "give the wavebeat.onnx that `vampbench import` writes"
        )
    return artifact


def track_beats(model: Path, clip: Clip, threads: int = 0) -> Times:
    """Seconds, ascending, of the beats and downbeats in a clip.

    A tracker of fixed length hears the recording window by window. Raises InputError when the
    model is no beat tracker, or cannot be run.
    """
    artifact = check_tracker(model)
    source = artifact.spec.inputs[0]
    session = open_session(model, threads=threads)
    own = at_beat_rate(clip)
    length = source.shape[2] if isinstance(source.shape[2], int) else len(own)
    found = []
    for start in range(0, len(own), length):
        window = own[start : start + length]
        if isinstance(source.shape[2], int):
            window = np.pad(window, (0, length - len(window)))
        outputs = session.run({source.name: window[None, None].astype(source.dtype)})
        logits = outputs[artifact.spec.outputs[0].name][0]
        times = beat_times_s(logits, frame_s(len(window), logits.shape[-1]))
        found += [start / BEAT_RATE_HZ + t for t in times]
    together = np.unique(np.concatenate([np.zeros(0), *found]))
    return together[together < clip.duration_s]


def codec_frames(times_s: Times, family: Family) -> tuple[int, ...]:
    """The token frames in which these times lie, ascending, each once."""
    return tuple(sorted({int(t * family.sample_rate_hz / family.hop_samples) for t in times_s}))
