"""The feeds of one model: the chain's or a user's own; for calibration, a search or a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

from calibration.feeds.chain_feeds import (
    CALIBRATION_SHARES,
    CALIBRATION_SIZES,
    EVALUATION_SIZES,
    FeedSizes,
    make_feeds,
)
from calibration.feeds.chain_inputs import ChainInputs, prepare_inputs
from calibration.feeds.feedset import FeedSet
from calibration.feeds.kept_feeds import FORMAT
from calibration.feeds.parts import UPSTREAM, part_feeds
from calibration.feeds.source import Source
from vampnet_models.cache import key_of
from vampnet_models.chain.families import joined
from vampnet_models.chain.members import with_neighbours
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.progress import Reporter
from vampnet_models.repair.baked import accepted_lengths
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import ModelSpec, Role

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
    "evaluation",
    1,
    EVALUATION_SIZES,
    FeedSizes(clips=6, coarse_states=24, c2f_states=24, per_trajectory=1),
)

SEARCH = _Side(
    "search",
    2,
    FeedSizes(clips=4, coarse_states=32, c2f_states=32),
    FeedSizes(clips=2, coarse_states=4, c2f_states=4, max_frames=100),
)
"""Other states of the calibration audio: what a search may look at, and a verdict may not."""

SEARCH_OF_COSTS = replace(
    SEARCH,
    sizes=FeedSizes(clips=12, coarse_states=32, c2f_states=32, per_trajectory=2),
    large_sizes=FeedSizes(clips=6, coarse_states=4, c2f_states=4, max_frames=100, per_trajectory=1),
)
"""The same of more clips: a cost has an interval, which they make narrower."""


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

    Arguments and errors are those of `evaluation_of`.
    """
    return evaluation_of(artifact, source, threads, reporter, sized)[0]


def evaluation_of(
    artifact: Artifact,
    source: Source,
    threads: int,
    reporter: Reporter,
    sized: Artifact | None = None,
) -> tuple[FeedSet, ChainInputs | None]:
    """What one model is judged on, and what that was made of; None of a user's own feeds.

    `sized` is the same model with the sizes that feeds must have. What the feeds had to do without
    is told. Raises InputError as `feeds_of` does.
    """
    source = source.of([artifact], reporter)
    own = source.judging(sized or artifact)
    if own is not None:
        _tell(artifact, None, own, reporter)
        return own, None
    with scratch_folder() as scratch:
        beside = with_neighbours(artifact, reporter)
        inputs = prepare_inputs(
            beside, source, scratch, threads, reporter, [artifact], ["evaluation"]
        )
        found = side_feeds(sized or artifact, inputs, EVALUATION, threads, reporter)
    for warning in found.warnings:
        reporter.warn(warning)
    return found, inputs


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
    """All that a model's feeds, and what its costs are measured on, come from."""
    decoder = inputs.decoder if artifact.role is Role.CODEC_ENCODER else None
    return key_of(
        FORMAT,
        artifact.sha256,
        inputs.audio.sha256,
        inputs.family.sample_rate_hz,
        inputs.calibration.upstream,
        inputs.conditioning,
        inputs.source.key(artifact),
        decoder.sha256 if decoder is not None else "",
    )
