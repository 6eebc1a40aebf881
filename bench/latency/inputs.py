"""What the timed models are fed: a clip that none was calibrated on, and calibration feeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.audio.clips import Clip
from calibration.audio.samples import builtin_audio_set
from calibration.feeds.feedset import FeedLabel, FeedSet, save_feed
from vampnet_models.chain.pipeline import encode
from vampnet_models.chain.tokens import Codes
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.repair.layouts import inputs_of, transformer_feed
from vampnet_models.spec import Role

_CALIBRATION_CLIPS = 4
_CALIBRATION_FRAMES = 100
_MASKED, _MASK_SEED = 0.6, 1
"""The share of positions that are to be predicted in a timed window, and which they are."""


def calibration_set(model: Artifact, encoder: Artifact) -> FeedSet:
    """A few feeds of short clips, with a growing share masked for transformers."""
    clips = builtin_audio_set().calibration[:_CALIBRATION_CLIPS]
    feeds = []
    for number, clip in enumerate(clips):
        share = (number + 1) / (len(clips) + 1)
        feeds.append(_feed(model, encoder, clip, _CALIBRATION_FRAMES, share, number))
    labels = tuple(FeedLabel(clip.name) for clip in clips)
    return FeedSet(model.role, tuple(feeds), labels, "builtin", encoder.name)


def timed_feed(model: Artifact, encoder: Artifact, frames: int) -> Feeds:
    """One window of `frames` frames: codes and mask, codes, or samples."""
    clip = builtin_audio_set().evaluation[0]
    return _feed(model, encoder, clip, frames, _MASKED, _MASK_SEED)


def write_feed(feed: Feeds, path: Path) -> Path:
    """Write a feed where a timed process reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_feed(feed, path)
    return path


def _feed(
    model: Artifact, encoder: Artifact, clip: Clip, frames: int, masked: float, seed: int
) -> Feeds:
    samples = np.resize(clip.samples, frames * encoder.spec.lengths_of.hop_samples)
    source = model.spec.inputs[0]
    if model.role is Role.CODEC_ENCODER:
        return {source.name: samples[None, None].astype(source.dtype)}
    codes: Codes = encode(open_session(encoder.path), samples)
    if model.role is Role.CODEC_DECODER:
        return {source.name: codes}
    n = inputs_of(model.spec).codes.shape[1]
    own = codes[:, : n if isinstance(n, int) else codes.shape[1]]
    mask = (np.random.default_rng(seed).random(own.shape) < masked).astype(np.int64)
    if model.role is Role.C2F:
        mask[:, :4] = 0
    return transformer_feed(model.spec, own, mask)
