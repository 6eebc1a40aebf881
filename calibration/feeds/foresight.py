"""The size of the largest feed, known from the audio before any feed is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.audio.clips import Clip
from calibration.feeds.chain_feeds import FeedSizes, in_turn
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.repair.layouts import inputs_of, transformer_feed
from vampnet_models.spec import ModelSpec, Role


def longest_feed(spec: ModelSpec, clips: Sequence[Clip], sizes: FeedSizes) -> Feeds | None:
    """Zeros of the shapes of the largest feed that `make_feeds` can make of these clips.

    None for a model whose feeds do not come from clips' lengths alone: a beat tracker or a generic
    one.
    """
    if not clips or spec.role in (Role.GENERIC, Role.BEATS):
        return None
    codec = spec.role in (Role.CODEC_ENCODER, Role.CODEC_DECODER)
    fed = in_turn(clips, sizes.clips, lambda clip: clip.recording) if codec else clips
    samples = max(len(clip.samples) for clip in fed)
    family = spec.lengths_of
    frames = -(-samples // family.hop_samples)
    if codec:
        source = spec.inputs[0]
        wanted = samples if spec.role is Role.CODEC_ENCODER else frames
        channels = 1 if spec.role is Role.CODEC_ENCODER else family.n_codebooks
        shape = (1, _fixed(source.shape[1], channels), _fixed(source.shape[2], wanted))
        return {source.name: np.zeros(shape, source.dtype)}
    n, length = inputs_of(spec).codes.shape[1:]
    window = spec.window_frames or 1
    window = min(window, sizes.max_frames or window)
    # States of c2f are filled up to the window, those of coarse are as long as the clip.
    longest = window if spec.role is Role.C2F else min(window, frames)
    zeros = np.zeros((1, _fixed(n, 1), _fixed(length, longest)), np.int64)
    return transformer_feed(spec, zeros, zeros)


def _fixed(size: int | str | None, otherwise: int) -> int:
    return size if isinstance(size, int) else otherwise
