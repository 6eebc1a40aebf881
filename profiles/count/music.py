"""What a time means to a musician: real-time factors, milliseconds per step, seconds per piece.

The chain of a piece is encoder, coarse steps per window, c2f steps per window, decoder; windows
are the family's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ as BEAT_RATE_HZ
from vampnet_models.family import TYPICAL, Family
from vampnet_models.records.profiles import Measurement, Profile
from vampnet_models.records.results import Chain
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.spec import CHAIN_ROLES, Role

_COARSE_STEPS = 12
_C2F_STEPS = 2
"""The original's default numbers of sampling steps."""


@dataclass(frozen=True)
class RoleTime:
    """The median time of one run of a role's model on `audio_s` of one clip."""

    seconds: float
    audio_s: float


def audio_s(role: Role, shapes: Mapping[str, Shape], family: Family | None) -> float | None:
    """Seconds of audio in one run's feeds, batch included; None where nobody can tell.

    Those are models beside the chain, and a codec of unknown rate. A transformer of unknown family
    is fed codes of the built-in one's.
    """
    if role not in (*CHAIN_ROLES, Role.BEATS) or not shapes:
        return None
    name = "codes" if "codes" in shapes else next(iter(shapes))
    shape = shapes[name]
    if role is Role.BEATS:
        return shape[0] * shape[-1] / BEAT_RATE_HZ
    if family is None:
        if role in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
            return None
        family = TYPICAL
    samples = shape[-1] if role is Role.CODEC_ENCODER else shape[-1] * family.hop_samples
    return shape[0] * samples / family.sample_rate_hz


@dataclass(frozen=True)
class Pace:
    """What the time of one run means; None where its seconds of audio are unknown.

    `real_time_factor` is processing time per audio time (below 1 keeps up with playing);
    a transformer's run is one sampling step.
    """

    audio_s: float | None = None
    real_time_factor: float | None = None
    ms_per_step: float | None = None


def pace_of(role: Role, shapes: Mapping[str, Shape], seconds: float, family: Family | None) -> Pace:
    """Of one run of `seconds`."""
    length_s = audio_s(role, shapes, family)
    if length_s is None:
        return Pace()
    if role in (Role.CODEC_ENCODER, Role.CODEC_DECODER, Role.BEATS):
        return Pace(length_s, real_time_factor=seconds / length_s)
    return Pace(length_s, ms_per_step=1000 * seconds)


def chain_of(
    name: str, target: str, profiles: Mapping[Role, Profile], family: Family | None
) -> Chain | None:
    """Seconds per 10 s of music from measurements on one target; None when a role lacks one.

    Calculated from medians, so it is neither measurement nor estimate but `derived`; `noisy`
    where one of them is.
    """
    measured = {r: p for r, p in profiles.items() if isinstance(p, Measurement)}
    times = {
        role: RoleTime(each.median_s, each.audio_s)
        for role, each in measured.items()
        if each.audio_s is not None
    }
    found = seconds_per_piece(times, family or TYPICAL)
    if found is None:
        return None
    noisy = any(each.noisy for each in measured.values())
    return Chain(name, target, *found, noisy=noisy)


def seconds_per_piece(
    times: Mapping[Role, RoleTime], family: Family, piece_s: float = 10.0
) -> tuple[float, tuple[str, ...]] | None:
    """Time to vamp on `piece_s` of audio, and what was assumed; None when a role is missing.

    The codec scales with length; a transformer's step is taken at the measured length and scaled
    to its window linearly, which is a little too low for longer windows (attention grows with
    the square) and is said when it happens.
    """
    if any(role not in times for role in CHAIN_ROLES):
        return None
    frames = math.ceil(piece_s * family.sample_rate_hz / family.hop_samples)
    notes = [f"{_COARSE_STEPS} coarse and {_C2F_STEPS} c2f steps"]
    total = 0.0
    for role in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
        total += times[role].seconds * piece_s / times[role].audio_s
    for role, steps, window in (
        (Role.COARSE, _COARSE_STEPS, family.coarse_window_frames),
        (Role.C2F, _C2F_STEPS, family.c2f_window_frames),
    ):
        measured = round(times[role].audio_s * family.sample_rate_hz / family.hop_samples)
        if measured != min(window, frames):
            notes.append(f"{role.value} scaled from {measured} to {min(window, frames)} frames")
        padded = math.ceil(frames / window) * window if role is Role.C2F else frames
        total += steps * times[role].seconds * padded / measured
    return total, tuple(notes)
