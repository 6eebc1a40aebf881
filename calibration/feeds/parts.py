"""Feeds for the pieces of the split form, through the pieces that come before them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.audio.clips import Clip
from calibration.feeds.chain_feeds import Encoded, FeedSizes, fitted, spread
from calibration.feeds.feedset import FeedLabel, FeedSet
from calibration.feeds.states import PROMPTS, prompt_mask
from vampnet_models.chain.tokens import Codes
from vampnet_models.errors import InputError
from vampnet_models.family import Family
from vampnet_models.onnxfile.session import Feeds, Session
from vampnet_models.repair.layouts import session_spec
from vampnet_models.spec import ModelSpec, Part

UPSTREAM = {
    Part.QUANTIZER: Part.ENCODER,
    Part.DECODER: Part.FROM_CODES,
    Part.COARSE_TRANSFORMER: Part.COARSE_EMBEDDINGS,
    Part.C2F_TRANSFORMER: Part.C2F_EMBEDDINGS,
}
"""The piece whose output a piece takes."""


def part_feeds(
    spec: ModelSpec, encoded: Encoded, sizes: FeedSizes, upstream: Session | None, seed: int = 0
) -> FeedSet:
    """What the piece that `spec` describes sees when the chain works on the clips.

    `upstream` is the piece before it (`UPSTREAM`), needed where that map has one. Raises
    InputError when it is missing or fits neither the codes nor this piece.
    """
    assert spec.part is not None
    before = UPSTREAM.get(spec.part)
    if before is None:
        feeds, labels = _first_feeds(spec, spec.part, spec.lengths_of, encoded, sizes, seed)
        return FeedSet(spec.role, feeds, labels, encoded.audio, encoded.upstream)
    if upstream is None:
        raise InputError(f"{spec.part.value}: needs the {before.value} beside it")
    feeds, labels = _first_feeds(
        session_spec(upstream), before, spec.lengths_of, encoded, sizes, seed
    )
    source = spec.inputs[0]
    answers = [upstream.run(feed)[upstream.output_names[0]] for feed in feeds]
    wrong = [a.shape for a in answers if a.ndim != 3 or a.shape[1] != source.shape[1]]
    if wrong and isinstance(source.shape[1], int):
        raise InputError(
            f"{spec.part.value}: takes {source.shape[1]} channels, the {before.value} gives "
            f"{list(wrong[0])}; they belong to different models"
        )
    if isinstance(source.shape[2], int):
        answers = [a[:, :, np.arange(source.shape[2]) % a.shape[2]] for a in answers]
    made = tuple({source.name: a.astype(source.dtype)} for a in answers)
    return FeedSet(spec.role, made, labels, encoded.audio, encoded.upstream)


def encode_by_parts(
    encoder: Session, quantizer: Session, clips: Sequence[Clip], *, audio: str, upstream: str
) -> Encoded:
    """Codes of clips through the split form's encoder and quantizer.

    Raises InputError when the quantizer gives no integers `[batch, codebooks, frames]`.
    """
    length = encoder.raw.get_inputs()[0].shape[-1]
    codes = []
    for clip in clips:
        samples = fitted(clip.samples, length)[None, None]
        features = encoder.run({encoder.input_names[0]: samples})[encoder.output_names[0]]
        outputs = quantizer.run({quantizer.input_names[0]: features})
        found = [v for v in outputs.values() if v.ndim == 3 and v.dtype == np.int64]
        if not found:
            raise InputError("the quantizer gives no codes: export it with its codes as an output")
        codes.append(found[0])
    return Encoded(tuple(clips), tuple(codes), audio, upstream)


def _first_feeds(
    spec: ModelSpec, part: Part, family: Family, encoded: Encoded, sizes: FeedSizes, seed: int
) -> tuple[tuple[Feeds, ...], tuple[FeedLabel, ...]]:
    """Feeds of the pieces that take audio or codes."""
    source = spec.inputs[0]
    length = source.shape[2]
    pairs = spread(tuple(zip(encoded.clips, encoded.codes, strict=True)), sizes.clips)
    if part is Part.ENCODER:
        audio = tuple(
            {source.name: fitted(clip.samples, length)[None, None].astype(source.dtype)}
            for clip, _ in pairs
        )
        return audio, tuple(FeedLabel(clip.name, recording=clip.recording) for clip, _ in pairs)
    n = source.shape[1]
    n_codebooks = n if isinstance(n, int) else encoded.codes[0].shape[1]
    rng = np.random.default_rng(seed)
    feeds, labels = [], []
    for index, (clip, codes) in enumerate(pairs):
        if codes.shape[1] < n_codebooks:
            raise InputError(
                f"{part.value}: takes {n_codebooks} codebooks, the encoder gives {codes.shape[1]}"
            )
        own = codes[:, :n_codebooks]
        prompt = None
        if part is not Part.FROM_CODES:
            prompt = PROMPTS[index % len(PROMPTS)]
            own = _masked(own, part, family, prompt, rng)
        if isinstance(length, int):
            own = own[:, :, np.arange(length) % own.shape[2]]
        feeds.append({source.name: own})
        label = FeedLabel(clip.name, prompt=prompt, codes_from="encoder", recording=clip.recording)
        labels.append(label)
    return tuple(feeds), tuple(labels)


def _masked(
    codes: Codes, part: Part, family: Family, prompt: str, rng: np.random.Generator
) -> Codes:
    """A window of codes with MASK where the prompt would have it generated."""
    fine = part is Part.C2F_EMBEDDINGS
    window = codes[:, :, : family.c2f_window_frames if fine else family.coarse_window_frames]
    first = family.n_coarse_codebooks if fine else 0
    mask = prompt_mask(prompt, window.shape, first, rng)
    mask[:, :first] = 0
    return np.where(mask == 1, family.mask_token, window)
