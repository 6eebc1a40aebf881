"""Audio -> what each model of the chain really sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import soxr

from calibration.audio.classes import class_of
from calibration.audio.clips import Clip
from calibration.feeds.feedset import (
    FeedLabel,
    FeedSet,
)
from calibration.feeds.generic import generic_feeds
from calibration.feeds.states import (
    C2F_STEPS,
    COARSE_STEPS,
    Trajectories,
    draw_states,
    generated_codes,
)
from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ as BEAT_RATE_HZ
from vampnet_models.chain.pipeline import Audio, encode, forward_of
from vampnet_models.chain.side_by_side import each_of
from vampnet_models.chain.tokens import Codes
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Session
from vampnet_models.progress import Progress
from vampnet_models.repair.layouts import (
    inputs_of,
    logits_name,
    session_spec,
    transformer_feed,
)
from vampnet_models.spec import ModelSpec, Role, conditioning_of

_T = TypeVar("_T")


@dataclass(frozen=True)
class FeedSizes:
    """How much to feed: clips to the codec, masked states to the transformers.

    `max_frames` shortens the transformers' windows (10 s for coarse, 3 s for c2f), of which
    states take `window_shares` in turn. The decoder gets `generated` clips more, whose codes the
    transformers made. `per_trajectory` states are of one clip and one run of the sampler.
    """

    clips: int
    coarse_states: int
    c2f_states: int
    max_frames: int | None = None
    window_shares: tuple[float, ...] = (1.0,)
    generated: int = 0
    per_trajectory: int = 4


CALIBRATION_SHARES = (1.0, 0.5, 0.25)
CALIBRATION_SIZES = FeedSizes(
    clips=10, coarse_states=56, c2f_states=64, window_shares=CALIBRATION_SHARES, generated=4
)
EVALUATION_SIZES = FeedSizes(clips=12, coarse_states=52, c2f_states=52, per_trajectory=2)
"""About 20,000 masked positions per transformer, of every clip of the built-in audio."""

_BEAT_CLIP_S = 20.0
"""Longer clips are cut to this for beat trackers: some thirty beats, and their context."""


@dataclass(frozen=True)
class Encoded:
    """Clips with their codes, int64 `[1, codebooks, frames]` each.

    `audio` names the audio set, `upstream` the encoder.
    """

    clips: tuple[Clip, ...]
    codes: tuple[Codes, ...]
    audio: str
    upstream: str

    @property
    def recordings(self) -> int:
        """How many recordings have codes here."""
        return len({c.recording for c, _ in zip(self.clips, self.codes, strict=False)})


def encode_clips(
    encoder: Session,
    clips: Sequence[Clip],
    *,
    audio: str,
    upstream: str = "reference",
    length: int | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Run the encoder on every clip, cut or filled up to `length` where that is fixed."""
    length = length or encoder.raw.get_inputs()[0].shape[-1]

    def encoded(clip: Clip) -> Codes:
        return encode(encoder, fitted(clip.samples, length))

    codes = []
    for done, each in enumerate(each_of(encoder, encoded, clips), 1):
        codes.append(each)
        if progress is not None:
            progress(done, len(clips))
    return Encoded(tuple(clips), tuple(codes), audio, upstream)


def make_feeds(
    spec: ModelSpec,
    encoded: Encoded,
    sizes: FeedSizes,
    *,
    session: Session | None = None,
    coarse: Session | None = None,
    c2f: Session | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FeedSet:
    """Feeds for the model that `spec` describes, from one side of an audio set.

    Encoders get clips, decoders codes of clips, beat trackers clips at 22.05 kHz, transformers
    masked states along the sampling of `session`, the reference model itself. c2f states are
    conditioned on the clips' codes and on what `coarse` generates, in turn, where it is given;
    decoders also get what `coarse` and `c2f` generate. Generic models get random inputs.

    Raises InputError: no clips; an encoder with too few codebooks; a missing `session`.
    """
    if spec.role is Role.GENERIC:
        return generic_feeds(spec, _needed(session, spec.role), sizes.clips, seed)
    if not encoded.clips:
        raise InputError(f"{encoded.audio}: no clips for {spec.role.value}; give more audio")
    if spec.role is Role.CODEC_ENCODER:
        found = _encoder_feeds(spec, encoded, sizes)
    elif spec.role is Role.CODEC_DECODER:
        found = _decoder_feeds(spec, encoded, sizes, coarse, c2f, seed)
    elif spec.role is Role.BEATS:
        found = _beat_feeds(spec, encoded, sizes)
    else:
        found = _transformer_feeds(
            spec, encoded, sizes, _needed(session, spec.role), coarse, seed, progress
        )
    classes = {clip.name: class_of(clip.samples, clip.sample_rate_hz) for clip in encoded.clips}
    recordings = {clip.name: clip.recording for clip in encoded.clips}
    labels = (
        replace(each, audio_class=classes.get(each.clip), recording=recordings.get(each.clip))
        for each in found.labels
    )
    return replace(found, labels=tuple(labels), codebook_size=spec.lengths_of.codebook_size)


def _encoder_feeds(spec: ModelSpec, encoded: Encoded, sizes: FeedSizes) -> FeedSet:
    source = spec.inputs[0]
    chosen = in_turn(encoded.clips, sizes.clips, lambda clip: clip.recording)
    feeds = tuple(
        {source.name: fitted(clip.samples, source.shape[2])[None, None].astype(source.dtype)}
        for clip in chosen
    )
    return FeedSet(
        spec.role, feeds, tuple(FeedLabel(clip.name) for clip in chosen), encoded.audio, "audio"
    )


def at_beat_rate(clip: Clip, most_s: float | None = None) -> Audio:
    """float32 `[n]` of a clip, or of its first seconds, at the beat trackers' 22.05 kHz."""
    n = None if most_s is None else int(most_s * clip.sample_rate_hz)
    return np.asarray(
        soxr.resample(clip.samples[:n], clip.sample_rate_hz, BEAT_RATE_HZ), np.float32
    )


def _beat_feeds(spec: ModelSpec, encoded: Encoded, sizes: FeedSizes) -> FeedSet:
    source = spec.inputs[0]
    chosen = spread(encoded.clips, sizes.clips)
    feeds = []
    for clip in chosen:
        samples = at_beat_rate(clip, _BEAT_CLIP_S)
        feeds.append(
            {source.name: fitted(samples, source.shape[2])[None, None].astype(source.dtype)}
        )
    labels = tuple(FeedLabel(clip.name) for clip in chosen)
    return FeedSet(spec.role, tuple(feeds), labels, encoded.audio, "audio")


def _decoder_feeds(
    spec: ModelSpec,
    encoded: Encoded,
    sizes: FeedSizes,
    coarse: Session | None,
    c2f: Session | None,
    seed: int,
) -> FeedSet:
    source = spec.inputs[0]
    both = tuple(zip(encoded.clips, encoded.codes, strict=True))
    pairs = in_turn(both, sizes.clips, lambda pair: pair[0].recording)
    wanted = source.shape[1]
    labels = [FeedLabel(clip.name, codes_from="encoder") for clip, _ in pairs]
    if coarse is not None and c2f is not None:
        some = spread(both, sizes.generated)
        for number, (clip, codes) in enumerate(some):
            made, prompt = generated_codes(coarse, c2f, codes, number, seed)
            pairs = (*pairs, (clip, made))
            labels.append(FeedLabel(clip.name, prompt=prompt, codes_from="c2f"))
    feeds = []
    for _, codes in pairs:
        own = _codebooks(codes, wanted if isinstance(wanted, int) else codes.shape[1], spec.role)
        if isinstance(source.shape[2], int):
            own = own[:, :, np.arange(source.shape[2]) % own.shape[2]]
        # The built-in encoder's codes, where a decoder stands alone, may be more than it has.
        own = own % spec.lengths_of.codebook_size
        feeds.append({source.name: own})
    return FeedSet(spec.role, tuple(feeds), tuple(labels), encoded.audio, encoded.upstream)


def _transformer_feeds(
    spec: ModelSpec,
    encoded: Encoded,
    sizes: FeedSizes,
    session: Session,
    coarse: Session | None,
    seed: int,
    progress: Progress | None,
) -> FeedSet:
    n, frames = inputs_of(spec).codes.shape[1:]
    if not isinstance(n, int):
        raise InputError(f"{spec.role.value}: its number of codebooks is not fixed; export it so")
    given = conditioning_of(spec)
    window = spec.window_frames or 1
    if isinstance(frames, int):
        window = frames
    elif sizes.max_frames is not None:
        window = min(window, sizes.max_frames)
    forward = forward_of(session) if logits_name(spec) is not None else None
    warnings = []
    if forward is None:
        warnings.append("no logits output: states hold the clips' own codes, none sampled")
    if coarse is not None and not _any_length(coarse):
        coarse = None
        warnings.append("the coarse model's length is fixed: no state is conditioned on its codes")
    how = Trajectories(
        predicted=n - given,
        window=window,
        pad=spec.role is Role.C2F or isinstance(frames, int),
        steps=C2F_STEPS if spec.role is Role.C2F else COARSE_STEPS,
        forward=forward,
        coarse=coarse if spec.role is Role.C2F else None,
        seed=seed,
        window_shares=sizes.window_shares,
        states=sizes.per_trajectory,
    )
    sources = [
        (clip.name, _codebooks(codes, n, spec.role))
        for clip, codes in zip(encoded.clips, encoded.codes, strict=True)
    ]
    n_states = sizes.c2f_states if spec.role is Role.C2F else sizes.coarse_states
    states = draw_states(sources, n_states, how, progress)
    return FeedSet(
        role=spec.role,
        feeds=tuple(transformer_feed(spec, s.codes, s.mask) for s in states),
        labels=tuple(s.label for s in states),
        audio=encoded.audio,
        upstream=encoded.upstream,
        warnings=tuple(warnings),
    )


def _any_length(coarse: Session) -> bool:
    spec = session_spec(coarse)
    return logits_name(spec) is not None and not isinstance(inputs_of(spec).codes.shape[2], int)


def _codebooks(codes: Codes, n: int, role: Role) -> Codes:
    if codes.shape[1] < n:
        raise InputError(
            f"{role.value} takes {n} codebooks, the encoder gives {codes.shape[1]}; "
            "use the encoder that belongs to it"
        )
    return codes[:, :n]


def fitted(samples: Audio, length: int | str | None) -> Audio:
    """The samples, cut or filled up with silence where the model's length is fixed."""
    if not isinstance(length, int):
        return samples
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def spread(items: Sequence[_T], n: int) -> tuple[_T, ...]:
    """At most n of the items, evenly spread."""
    if len(items) <= n:
        return tuple(items)
    return tuple(items[i * len(items) // n] for i in range(n))


def in_turn(items: Sequence[_T], n: int, group: Callable[[_T], str]) -> tuple[_T, ...]:
    """At most n of the items, from every group in turn; evenly spread within it."""
    groups: dict[str, list[_T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    quota = dict.fromkeys(groups, 0)
    for _ in range(min(n, len(items))):
        fewest = min((g for g in groups if quota[g] < len(groups[g])), key=quota.__getitem__)
        quota[fewest] += 1
    return tuple(item for name, each in groups.items() for item in spread(each, quota[name]))


def _needed(session: Session | None, role: Role) -> Session:
    if session is None:
        raise InputError(f"feeds for {role.value} need its reference model; open it and pass it")
    return session
