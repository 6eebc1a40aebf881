"""The evidence for one model of a chain: how much, and of which part of the audio."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calibration.feeds.chain_feeds import Encoded, in_turn
from calibration.feeds.chain_inputs import ChainInputs
from calibration.feeds.evidence import (
    NO_EVIDENCE,
    Evidence,
    Passage,
    Place,
    masked_codes,
    pieces,
)
from calibration.feeds.feedset import FeedSet
from calibration.feeds.model_feeds import EVALUATION, LARGE_BYTES, evaluation_of
from calibration.feeds.source import Source
from calibration.feeds.states import C2F_STEPS, COARSE_STEPS
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.repair.baked import accepted_lengths
from vampnet_models.repair.layouts import inputs_of, logits_name
from vampnet_models.spec import CHAIN_ROLES, Role, codec_books, conditioning_of

_FED_WITH_CODES = (Role.COARSE, Role.C2F, Role.CODEC_DECODER)


@dataclass(frozen=True)
class _Size:
    """How many masked states of how many frames, at most, a transformer guesses in."""

    states: int
    frames: int


_SIZES = {Role.COARSE: _Size(48, 115), Role.C2F: _Size(24, 115)}
_LARGE_SIZES = {Role.COARSE: _Size(24, 115), Role.C2F: _Size(24, 58)}
"""About a quarter of what the same model is fed for its agreement; 115 frames are 2 s."""

_DECODED_FRAMES = 43
"""Of a part of a clip that an encoder's codes are decoded for: decoding takes the longest here."""

_HEARD_FRAMES = 173
"""Of a part of a clip that a decoder is heard on: it has decoded all of it anyway."""


def judged_on(
    artifact: Artifact, source: Source, threads: int, reporter: Reporter, sized: Artifact
) -> tuple[FeedSet, Evidence]:
    """The feeds that judge one model, and the evidence; arguments as for `evaluation_of`.

    Raises InputError as that does.
    """
    feeds, inputs = evaluation_of(artifact, source, threads, reporter, sized)
    return feeds, NO_EVIDENCE if inputs is None else evidence_of(sized, inputs, feeds)


def evidence_of(
    artifact: Artifact, inputs: ChainInputs, feeds: FeedSet, heard: Encoded | None = None
) -> Evidence:
    """What the costs of one model's variants are measured on.

    `feeds` are those that judge the model, made of the clips of `heard`: by default those that
    nothing is calibrated on. It is empty for a user's own, for models outside a chain and for the
    pieces of the split form; where something in the chain is missing or does not run, its note
    says so.
    """
    try:
        with contained():
            return _evidence(artifact, inputs, feeds, heard or inputs.evaluation)
    except WorkbenchError as error:
        return Evidence(note=f"no cost: {error}")


def _evidence(
    artifact: Artifact, inputs: ChainInputs, feeds: FeedSet, encoded: Encoded
) -> Evidence:
    if feeds.is_given or not encoded.codes or artifact.role not in CHAIN_ROLES:
        return NO_EVIDENCE
    if artifact.role in _FED_WITH_CODES and not inputs.own_codes:
        return Evidence(note="no cost: no encoder beside it tells what codes a recording has")
    if artifact.role in (Role.COARSE, Role.C2F):
        return _masked(artifact, encoded)
    if artifact.role is Role.CODEC_DECODER:
        return Evidence(passages=_passages(artifact, feeds, encoded, _HEARD_FRAMES))
    return _encoder_evidence(artifact, inputs.decoder, feeds, encoded)


def _masked(artifact: Artifact, encoded: Encoded) -> Evidence:
    if logits_name(artifact.spec) is None:
        return Evidence(note="no cost: the model gives tokens without logits")
    size = (_LARGE_SIZES if artifact.bytes >= LARGE_BYTES else _SIZES)[artifact.role]
    accepted = accepted_lengths(artifact.path, artifact.spec, open_session(artifact.path))
    shape = inputs_of(accepted.applied(artifact.spec)).codes.shape
    n, length = (each if isinstance(each, int) else None for each in shape[1:])
    frames = size.frames if length is None else min(size.frames, length)
    cut = pieces([codes.shape[2] for codes in encoded.codes], frames)
    windows = [
        (Place(clip.recording, clip.name, each.start), codes[:, :n, each.start : each.stop])
        for clip, codes, own in zip(encoded.clips, encoded.codes, cut, strict=True)
        for each in own
    ]
    steps = max(COARSE_STEPS if artifact.role is Role.COARSE else C2F_STEPS)
    return Evidence(
        masked=masked_codes(
            in_turn(windows, size.states, lambda window: window[0].recording),
            size.states,
            given=conditioning_of(artifact.spec),
            ratios=[math.cos(math.pi / 2 * step / steps) for step in range(steps)],
            length=length,
            seed=EVALUATION.seed,
        )
    )


def _encoder_evidence(
    artifact: Artifact, decoder: Artifact | None, feeds: FeedSet, encoded: Encoded
) -> Evidence:
    if decoder is None:
        return Evidence(note="no cost: no decoder beside it makes its codes heard")
    books, taken = (codec_books(each.spec) for each in (artifact, decoder))
    if books is not None and taken is not None and books < taken:
        return Evidence(note=f"no cost: {decoder.name} takes {taken} codebooks, it has {books}")
    if isinstance(decoder.spec.inputs[0].shape[2], int):
        return Evidence(note=f"no cost: {decoder.name}, which would make it heard, has one length")
    passages = _passages(artifact, feeds, encoded, _DECODED_FRAMES)
    return Evidence(passages=passages, decoder=decoder)


def _passages(
    artifact: Artifact, feeds: FeedSet, encoded: Encoded, most_frames: int
) -> tuple[Passage, ...]:
    """The pieces of all feeds that are a clip's own sound or codes."""
    clips = {
        clip.name: (clip, codes.shape[2])
        for clip, codes in zip(encoded.clips, encoded.codes, strict=True)
    }
    hop = artifact.spec.hop or artifact.spec.lengths_of.hop_samples
    rows = []
    for number, (feed, label) in enumerate(zip(feeds.feeds, feeds.labels, strict=True)):
        if label.clip in clips and label.codes_from in (None, "encoder"):
            clip, frames = clips[label.clip]
            fed = next(iter(feed.values())).shape[2]
            fed = fed // hop if artifact.role is Role.CODEC_ENCODER else fed
            # What a fixed length repeats or fills up is no recording.
            rows.append((number, clip, min(frames, max(1, fed))))
    cut = pieces([frames for *_, frames in rows], most_frames)
    return tuple(
        Passage(
            Place(clip.recording, clip.name, each.start),
            number,
            len(each),
            clip.samples[each.start * hop : each.stop * hop],
        )
        for (number, clip, _), own in zip(rows, cut, strict=True)
        for each in own
    )
