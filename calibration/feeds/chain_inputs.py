"""What every model of a job is fed with: the audio, its codes, and the reference chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from calibration.audio.clips import AudioSet, Clip
from calibration.feeds.chain_feeds import (
    CALIBRATION_SHARES,
    CALIBRATION_SIZES,
    EVALUATION_SIZES,
    Encoded,
    FeedSet,
    FeedSizes,
    encode_clips,
    make_feeds,
)
from calibration.feeds.kept_feeds import FORMAT, kept_codes
from calibration.feeds.parts import UPSTREAM, encode_by_parts, part_feeds
from calibration.feeds.source import NO_AUDIO, Source
from vampnet_models.cache import key_of
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.chain.families import family_of_chain, in_family, joined
from vampnet_models.chain.members import with_neighbours
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.family import TYPICAL, Family
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.progress import Progress, Reporter
from vampnet_models.repair.baked import accepted_lengths
from vampnet_models.repair.layouts import logits_name
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import FILE_STEMS, ModelSpec, Part, Role

_T = TypeVar("_T")

_EncodeSide = Callable[[Sequence[Clip], Progress], Encoded]


LARGE_BYTES = 256 * 1024 * 1024
"""Models of this size and more are fed fewer states: each takes seconds."""


@dataclass(frozen=True)
class _Side:
    """How much one side of the audio gives.

    Attributes:
        name: `calibration`, `evaluation` or `search`.
        seed: of the masks and tokens that are drawn from this side.
        sizes: how many clips and states a model is fed.
        large_sizes: the same for a model of `LARGE_BYTES` and more.
    """

    name: str
    seed: int
    sizes: FeedSizes
    large_sizes: FeedSizes


CALIBRATION = _Side(
    "calibration",
    0,
    CALIBRATION_SIZES,
    FeedSizes(
        clips=3, coarse_states=32, c2f_states=16, window_shares=CALIBRATION_SHARES, generated=1
    ),
)
EVALUATION = _Side(
    "evaluation", 1, EVALUATION_SIZES, FeedSizes(clips=6, coarse_states=50, c2f_states=20)
)

SEARCH = _Side(
    "search",
    2,
    FeedSizes(clips=4, coarse_states=32, c2f_states=32),
    FeedSizes(clips=2, coarse_states=4, c2f_states=4, max_frames=100),
)
"""Other states of the calibration audio: what a search may look at, and a verdict may not."""


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
    family: Family = TYPICAL


def prepare_inputs(
    artifacts: Sequence[Artifact],
    source: Source,
    scratch: Path,
    threads: int,
    reporter: Reporter,
    fed: Sequence[Artifact] | None = None,
) -> ChainInputs:
    """Encode both sides of the audio with the job's own encoder, or the built-in one.

    `artifacts` are the models of the chain, `fed` those of them that get feeds: all of them by
    default. No audio is read where none of those is fed with any, and nothing is encoded where
    none wants codes. The split form's encoder and quantizer together count as one. `scratch`
    receives the built-in models where they are needed. `source` is `of` the models of the job.
    """
    warnings: list[str] = []
    parts = {a.spec.part: a for a in reversed(artifacts) if a.spec.part is not None}
    hearing = [a for a in (artifacts if fed is None else fed) if source.is_heard_by(a)]
    recorded = source.load_audio(reporter) if hearing else NO_AUDIO
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
        c2f = _unless_broken(lambda: _generating(artifacts, threads), warnings)
    encoding = [a for a in artifacts if a.role is Role.CODEC_ENCODER or a.spec.part is not None]
    encoders = key_of(*(a.sha256 for a in encoding)) if encoding else "built-in"
    sides = []
    for name, clips in (("calibration", audio.calibration), ("evaluation", audio.evaluation)):
        with reporter.task(f"encoding {name} audio") as update:
            sides.append(_encoded(scratch, encoders, clips, encode_side, update))
    for warning in warnings:
        reporter.warn(warning)
    return ChainInputs(
        source=source,
        audio=recorded,
        calibration=sides[0],
        evaluation=sides[1],
        coarse=coarse,
        conditioning=key_of(
            *(a.sha256 for a in artifacts if a.role in (Role.COARSE, Role.C2F)), encoders
        ),
        warnings=tuple(warnings),
        parts=parts,
        c2f=c2f,
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
    session = open_session(artifact.path, threads=threads)

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


def _generating(artifacts: Sequence[Artifact], threads: int) -> Artifact | None:
    """The c2f model that completes codes for a decoder, if it can be sampled from."""
    artifact = next((a for a in artifacts if a.role is Role.C2F), None)
    if artifact is None or all(a.role is not Role.CODEC_DECODER for a in artifacts):
        return None
    session = open_session(artifact.path, threads=threads)
    restricted = accepted_lengths(artifact.path, artifact.spec, session).restricted
    return None if restricted or logits_name(artifact.spec) is None else artifact


def feeds_of(
    artifact: Artifact, inputs: ChainInputs, threads: int, reporter: Reporter
) -> tuple[FeedSet, FeedSet]:
    """Calibration and evaluation feeds of one model; disjoint. Says where a user's own are used.

    Raises InputError when the model runs at no length, does not fit the others, or a user's own
    feeds do not fit it.
    """
    calibration, evaluation = inputs.source.both(artifact)
    _tell(artifact, calibration, evaluation, reporter)
    if calibration is not None and evaluation is not None:
        return calibration, evaluation
    fed = _fed(artifact, inputs, threads, reporter)
    return (
        _side(fed, CALIBRATION, inputs, reporter),
        evaluation or _side(fed, EVALUATION, inputs, reporter),
    )


def side_feeds(
    artifact: Artifact, inputs: ChainInputs, side: _Side, threads: int, reporter: Reporter
) -> FeedSet:
    """The feeds of one side alone, for commands that do not calibrate and verify at once.

    All that a user gives calibrates then; the second half of it judges. Raises InputError as
    `feeds_of` does.
    """
    source = inputs.source
    if side.name == EVALUATION.name:
        own = source.judging(artifact)
        _tell(artifact, None, own, reporter)
    elif side.name == CALIBRATION.name:
        own = source.calibrating(artifact)
        _tell(artifact, own, None, reporter)
    else:
        own = source.both(artifact)[0]
    return own or _side(_fed(artifact, inputs, threads, reporter), side, inputs, reporter)


def evaluation_feeds_of(
    artifact: Artifact,
    source: Source,
    threads: int,
    reporter: Reporter,
    sized: Artifact | None = None,
) -> FeedSet:
    """What one model is judged on: a user's own feeds, or through the chain that it lies in.

    `sized` is the same model with the sizes that feeds must have. What the feeds had to do without
    is told. Raises InputError as `feeds_of` does.
    """
    source = source.of([artifact], reporter)
    own = source.judging(sized or artifact)
    if own is not None:
        _tell(artifact, None, own, reporter)
        return own
    with scratch_folder() as scratch:
        beside = with_neighbours(artifact, reporter)
        inputs = prepare_inputs(beside, source, scratch, threads, reporter, [artifact])
        found = side_feeds(sized or artifact, inputs, EVALUATION, threads, reporter)
    for warning in found.warnings:
        reporter.warn(warning)
    return found


def _tell(
    artifact: Artifact, calibration: FeedSet | None, evaluation: FeedSet | None, reporter: Reporter
) -> None:
    """Which of a user's own feeds calibrate, and which judge."""
    sides = ((calibration, "calibrate"), (evaluation, "judge"))
    said = [f"{len(own.feeds)} of {own.audio} {verb}" for own, verb in sides if own is not None]
    if said:
        reporter.note(f"{artifact.name}: feeds: {', '.join(said)}")


@dataclass(frozen=True)
class _Fed:
    """A model with the interface that really holds, opened, and what feeds it."""

    artifact: Artifact
    spec: ModelSpec
    session: Session
    upstream: Session | None
    coarse: Session | None
    c2f: Session | None


def _fed(artifact: Artifact, inputs: ChainInputs, threads: int, reporter: Reporter) -> _Fed:
    artifact = joined(artifact, inputs.family)
    session = open_session(artifact.path, threads=threads)
    lengths = accepted_lengths(artifact.path, artifact.spec, session)
    if not lengths.usable:
        raise InputError(f"{artifact.name}: runs at no length that was tried: {lengths.reason}")
    if lengths.whole_mask:
        raise InputError(
            f"{artifact.name}: {lengths.describe()}: the states of a job are partly masked; import "
            "the checkpoint instead (`vampbench import`)"
        )
    if lengths.fixed is not None and not lengths.declared:
        reporter.warn(f"{artifact.name}: {lengths.describe()}; it is fed that length")
    spec = lengths.applied(artifact.spec)
    before = inputs.coarse if spec.role in (Role.C2F, Role.CODEC_DECODER) else None
    after = inputs.c2f if spec.role is Role.CODEC_DECODER else None
    coarse, c2f = (
        None if model is None else open_session(model.path, threads=threads)
        for model in (before, after)
    )
    return _Fed(artifact, spec, session, _upstream(spec, inputs, threads), coarse, c2f)


def _side(fed: _Fed, side: _Side, inputs: ChainInputs, reporter: Reporter) -> FeedSet:
    sizes = sizes_of(fed.artifact, side)
    judging = side.name == EVALUATION.name
    encoded = inputs.evaluation if judging else inputs.calibration
    if fed.spec.role is Role.BEATS:
        clips = inputs.audio.evaluation if judging else inputs.audio.calibration
        encoded = replace(encoded, clips=clips)
    with reporter.task(f"{fed.artifact.name}: {side.name} feeds") as update:
        part = fed.spec.part
        if part is not None and (fed.upstream is not None or part not in UPSTREAM):
            return part_feeds(fed.spec, encoded, sizes, fed.upstream, side.seed)
        return make_feeds(
            fed.spec,
            encoded,
            sizes,
            session=fed.session,
            coarse=fed.coarse,
            c2f=fed.c2f,
            seed=side.seed,
            progress=update,
        )


def sizes_of(artifact: Artifact, side: _Side) -> FeedSizes:
    """How much one side gives to a model: less to a large one."""
    return side.large_sizes if artifact.bytes >= LARGE_BYTES else side.sizes


def _upstream(spec: ModelSpec, inputs: ChainInputs, threads: int) -> Session | None:
    """The piece of the split form that feeds this one, if it is there and of any length."""
    before = UPSTREAM.get(spec.part) if spec.part is not None else None
    artifact = inputs.parts.get(before) if before is not None else None
    return None if artifact is None else open_session(artifact.path, threads=threads)


def feeds_key(artifact: Artifact, inputs: ChainInputs) -> str:
    """All that a model's feeds come from."""
    return key_of(
        FORMAT,
        artifact.sha256,
        inputs.audio.sha256,
        inputs.family.sample_rate_hz,
        inputs.calibration.upstream,
        inputs.conditioning,
        inputs.source.key(artifact),
    )
