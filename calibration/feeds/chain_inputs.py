"""What every model of a job is fed with: the audio, its codes, and the reference chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from calibration.audio.clips import BOTH_SIDES, AudioSet, Clip, Side
from calibration.feeds.chain_feeds import (
    Encoded,
    encode_clips,
)
from calibration.feeds.kept_feeds import kept_codes
from calibration.feeds.parts import encode_by_parts
from calibration.feeds.source import NO_AUDIO, Source
from vampnet_models.cache import key_of
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.chain.families import family_of_chain, in_family
from vampnet_models.chain.side_by_side import open_side_by_side
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.family import TYPICAL, Family
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Progress, Reporter
from vampnet_models.repair.baked import accepted_lengths
from vampnet_models.repair.layouts import inputs_of, logits_name
from vampnet_models.spec import FILE_STEMS, Part, Role, codec_books

_T = TypeVar("_T")

_EncodeSide = Callable[[Sequence[Clip], Progress], Encoded]


@dataclass(frozen=True)
class ChainInputs:
    """The two sides of the audio with their codes: all that feeds of a chain are made of.

    Attributes:
        source: where the feeds come from; a user's own are in it.
        audio: the clips of both sides, and what was dropped; empty where no model is fed with any.
        calibration: its calibration side with the encoder's codes.
        evaluation: its evaluation side with the encoder's codes.
        coarse: the model that conditions c2f as in the chain; None where none can be sampled from.
        conditioning: a hash of all that feeds may depend on beside their own model.
        warnings: what a feed had to do without, a line each.
        parts: the pieces of the split form, by part; empty by default.
        c2f: with `coarse`, the model that makes codes for the decoder; None by default.
        decoder: of the chain; None, the default, where there is none.
        own_codes: whether the chain's own encoder gave the codes, as by default; without it they
            are another codec's.
        family: of the chain, at whose rate the two sides are; without one, beat trackers alone
            hear the recordings, as they are.
    """

    source: Source
    audio: AudioSet
    calibration: Encoded
    evaluation: Encoded
    coarse: Artifact | None
    conditioning: str
    warnings: tuple[str, ...]
    parts: dict[Part, Artifact] = field(default_factory=dict)
    c2f: Artifact | None = None
    decoder: Artifact | None = None
    own_codes: bool = True
    family: Family = TYPICAL


def prepare_inputs(
    artifacts: Sequence[Artifact],
    source: Source,
    scratch: Path,
    threads: int,
    reporter: Reporter,
    fed: Sequence[Artifact] | None = None,
    sides: Sequence[Side] = BOTH_SIDES,
) -> ChainInputs:
    """Encode both sides of the audio with the job's own encoder, or the built-in one.

    `artifacts` are the models of the chain, `fed` those of them that get feeds: all of them by
    default. No audio is read where none of those is fed with any, and nothing is encoded where
    none wants codes. The split form's encoder and quantizer together count as one. `scratch`
    receives the built-in models where they are needed. `source` is `of` the models of the job. A
    side that is not among `sides` has no clips and no codes.
    """
    warnings: list[str] = []
    parts = {a.spec.part: a for a in reversed(artifacts) if a.spec.part is not None}
    hearing = [a for a in (artifacts if fed is None else fed) if source.is_heard_by(a)]
    recorded = source.load_audio(reporter, sides).only(sides) if hearing else NO_AUDIO
    if all(a.role is Role.BEATS for a in hearing):
        one, two = (
            Encoded(side, (), recorded.name, "none")
            for side in (recorded.calibration, recorded.evaluation)
        )
        return ChainInputs(source, recorded, one, two, None, conditioning="none", warnings=())
    artifacts = in_family(artifacts, source.sample_rate_hz)
    family = family_of_chain(artifacts)
    audio = recorded.at_rate(family.sample_rate_hz)
    encode_side = _unless_broken(
        lambda: (
            _own_encoder(artifacts, audio, threads, warnings)
            or _split_encoder(parts, audio, threads)
        ),
        warnings,
    )
    own_codes = encode_side is not None
    if encode_side is None:
        warnings.append(
            "no encoder among the models: codes come from the built-in small one, whose "
            "tokens are another codec's; put the matching encoder beside them"
        )
        builtin = open_artifact(builtin_models(scratch) / f"{FILE_STEMS[Role.CODEC_ENCODER]}.onnx")
        encode_side = _encoder_of(builtin, audio, threads, None)
    coarse = _unless_broken(lambda: _conditioning(artifacts, threads, warnings), warnings)
    c2f = None
    if coarse is not None:
        c2f = _unless_broken(lambda: _generating(artifacts, threads, warnings), warnings)
    encoding = [a for a in artifacts if a.role is Role.CODEC_ENCODER or a.spec.part is not None]
    encoders = key_of(*(a.sha256 for a in encoding)) if encoding else "built-in"
    encoded: dict[Side, Encoded] = {}
    for side in BOTH_SIDES:
        clips = getattr(audio, side)
        if side not in sides:
            encoded[side] = encode_side(clips, lambda *_: None)
            continue
        with reporter.task(f"encoding {side} audio") as update:
            encoded[side] = _encoded(scratch, encoders, clips, encode_side, update)
    for warning in warnings:
        reporter.warn(warning)
    return ChainInputs(
        source=source,
        audio=recorded,
        calibration=encoded["calibration"],
        evaluation=encoded["evaluation"],
        coarse=coarse,
        conditioning=key_of(
            *(a.sha256 for a in artifacts if a.role in (Role.COARSE, Role.C2F)), encoders
        ),
        warnings=tuple(warnings),
        parts=parts,
        c2f=c2f,
        decoder=next((a for a in artifacts if a.role is Role.CODEC_DECODER), None),
        own_codes=own_codes,
        family=family,
    )


def _unless_broken(look: Callable[[], _T | None], warnings: list[str]) -> _T | None:
    """What a model gives to the others; None, with a warning, where that model is broken."""
    try:
        with contained():
            return look()
    except WorkbenchError as error:
        warnings.append(f"the other models do without it: {error}")
        return None


def _encoded(
    scratch: Path,
    encoders: str,
    clips: Sequence[Clip],
    encode_side: _EncodeSide,
    update: Progress,
) -> Encoded:
    found = kept_codes(scratch / "codes", clips, encoders, lambda: encode_side(clips, update))
    update(len(clips), len(clips))
    return found


def _own_encoder(
    artifacts: Sequence[Artifact], audio: AudioSet, threads: int, warnings: list[str]
) -> _EncodeSide | None:
    artifact = next((a for a in artifacts if a.role is Role.CODEC_ENCODER), None)
    if artifact is None:
        return None
    lengths = accepted_lengths(
        artifact.path, artifact.spec, open_session(artifact.path, threads=threads)
    )
    if not lengths.usable:
        warnings.append(f"{artifact.name}: runs at no length that was tried: {lengths.reason}")
        return None
    return _encoder_of(artifact, audio, threads, lengths.fixed)


def _encoder_of(
    artifact: Artifact, audio: AudioSet, threads: int, length: int | None
) -> _EncodeSide:
    session = (
        open_session(artifact.path, threads=threads)
        if threads
        else open_side_by_side(artifact.path, artifact)
    )

    def encode_side(clips: Sequence[Clip], update: Progress) -> Encoded:
        return encode_clips(
            session,
            clips,
            audio=audio.name,
            upstream=artifact.sha256[:16],
            length=length,
            progress=update,
        )

    return encode_side


def _split_encoder(
    parts: dict[Part, Artifact], audio: AudioSet, threads: int
) -> _EncodeSide | None:
    if Part.ENCODER not in parts or Part.QUANTIZER not in parts:
        return None
    first, second = parts[Part.ENCODER], parts[Part.QUANTIZER]
    encoder, quantizer = (open_session(a.path, threads=threads) for a in (first, second))
    upstream = first.sha256[:8] + second.sha256[:8]

    def encode_side(clips: Sequence[Clip], update: Progress) -> Encoded:
        encoded = encode_by_parts(encoder, quantizer, clips, audio=audio.name, upstream=upstream)
        update(len(clips), len(clips))
        return encoded

    return encode_side


def _conditioning(
    artifacts: Sequence[Artifact], threads: int, warnings: list[str]
) -> Artifact | None:
    """The coarse model that c2f's states are conditioned on, if it can be sampled from."""
    artifact = next((a for a in artifacts if a.role is Role.COARSE), None)
    if artifact is None or all(a.role is not Role.C2F for a in artifacts):
        return None
    session = open_session(artifact.path, threads=threads)
    reason = None
    if logits_name(artifact.spec) is None:
        reason = "gives tokens without logits"
    elif accepted_lengths(artifact.path, artifact.spec, session).restricted:
        reason = "accepts one length only"
    if reason is None:
        return artifact
    warnings.append(
        f"{artifact.name} {reason}: c2f is conditioned on the recordings' own codes alone"
    )
    return None


def _generating(
    artifacts: Sequence[Artifact], threads: int, warnings: list[str]
) -> Artifact | None:
    """The c2f model that completes codes for a decoder, if it can be sampled from."""
    artifact = next((a for a in artifacts if a.role is Role.C2F), None)
    decoder = next((a for a in artifacts if a.role is Role.CODEC_DECODER), None)
    if artifact is None or decoder is None:
        return None
    made, taken = inputs_of(artifact.spec).codes.shape[1], codec_books(decoder.spec)
    if isinstance(made, int) and taken is not None and made != taken:
        warnings.append(
            f"{artifact.name} makes {made} codebooks, {decoder.name} takes {taken}: the decoder is "
            "fed with the recordings' own codes alone"
        )
        return None
    session = open_session(artifact.path, threads=threads)
    restricted = accepted_lengths(artifact.path, artifact.spec, session).restricted
    return None if restricted or logits_name(artifact.spec) is None else artifact
