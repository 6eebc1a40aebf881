"""How long the feeds are: what models of one length and of any can share, what is timed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ as BEAT_RATE_HZ
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.progress import Reporter
from vampnet_models.records.results import Accepts, Lengths
from vampnet_models.repair.baked import accepted_lengths
from vampnet_models.spec import Role, TensorSpec

_PROFILE_S = 2.0


def in_step(reference: Artifact, variants: Sequence[Artifact], reporter: Reporter) -> Artifact:
    """The reference, with the sizes of its inputs that a variant fixes: feeds are made for those.

    Says so where that is the case. Raises InputError where two variants fix different sizes, or
    one a batch that audio, which is fed clip by clip, does not have.
    """
    inputs = []
    taken: dict[Path, list[str]] = {}
    for tensor in reference.spec.inputs:
        shape = list(tensor.shape)
        fixed_by: dict[int, Artifact] = {}
        for variant in variants:
            given = variant.spec.input(tensor.name)
            if not (given.ranked and tensor.ranked):
                continue
            theirs = given.shape
            for axis, (size, own) in enumerate(zip(theirs, shape, strict=True)):
                if not isinstance(size, int) or size == own:
                    continue
                if isinstance(own, int):
                    raise InputError(_apart(tensor.name, axis, fixed_by[axis], variant))
                shape[axis] = size
                fixed_by[axis] = variant
            if any(by is variant for by in fixed_by.values()):
                taken.setdefault(variant.path, []).append(f"{tensor.name} {list(theirs)}")
        _check_batch(reference, fixed_by.get(0), shape)
        inputs.append(replace(tensor, shape=tuple(shape)))
    for path, sizes in taken.items():
        reporter.note(f"{path.name} takes {', '.join(sizes)} alone: all are fed that")
    return replace(reference, spec=replace(reference.spec, inputs=tuple(inputs)))


def accepted_by(artifact: Artifact) -> Lengths:
    """Which lengths a model takes; found by running it where that is not known.

    Of a generic model nobody knows which axis is a length: it accepts what is `declared`.
    """
    if artifact.role is Role.GENERIC and artifact.spec.part is None:
        return Lengths("declared", None, whole_mask=False, reason=None)
    found = accepted_lengths(artifact.path, artifact.spec, open_session(artifact.path))
    fixed: Accepts = "any" if found.fixed is None else "up-to" if found.at_most else "one"
    return Lengths(
        accepts=fixed if found.usable else "none",
        length=found.fixed,
        whole_mask=found.whole_mask,
        reason=found.reason or found.mask_reason,
    )


def check_fed(path: Path, feeds: Iterable[Feeds], variant: Artifact) -> None:
    """Raise InputError where stored feeds have another size than the variant takes."""
    for feed in feeds:
        for tensor in variant.spec.inputs:
            shape = list(feed[tensor.name].shape) if tensor.name in feed else None
            if shape is not None and not _fits(tensor, shape):
                raise InputError(
                    f"{path}: holds {tensor.name} {shape}, and {variant.path.name} takes "
                    f"{list(tensor.shape)} alone; write golden vectors with it as VARIANT"
                )


def profile_feed(artifact: Artifact, feed: Feeds) -> Feeds:
    """The feed that is timed: at most PROFILE_S seconds of sound, masked states as they are."""
    family = artifact.spec.lengths_of
    cut = {
        Role.CODEC_ENCODER: int(_PROFILE_S * family.sample_rate_hz),
        Role.CODEC_DECODER: int(_PROFILE_S * family.sample_rate_hz / family.hop_samples),
        Role.BEATS: int(_PROFILE_S * BEAT_RATE_HZ),
    }.get(artifact.role)
    fixed = any(isinstance(t.shape[-1], int) for t in artifact.spec.inputs if t.shape)
    if cut is None or fixed:
        return feed
    return {name: values[..., :cut] for name, values in feed.items()}


def short_states(
    source: Artifact, feeds: list[Feeds] | tuple[Feeds, ...], frames: int, states: int
) -> list[Feeds]:
    """`states` of the feeds, evenly spread, each cut to `frames` in its middle.

    Raises InputError where the time axis is not known or the feeds are shorter.
    """
    if source.role in (Role.GENERIC, Role.BEATS):
        return list(feeds[:states])
    unit = source.spec.lengths_of.hop_samples if source.role is Role.CODEC_ENCODER else 1
    step = max(1, len(feeds) // states)
    cut = []
    for each in feeds[::step][:states]:
        length = next(iter(each.values())).shape[-1] // unit
        if length < frames:
            raise InputError(f"{source.path}: the feeds have {length} frames, fewer than {frames}")
        first = (length - frames) // 2
        part = slice(first * unit, (first + frames) * unit)
        cut.append({name: values[..., part] for name, values in each.items()})
    return cut


def _apart(name: str, axis: int, one: Artifact, other: Artifact) -> str:
    theirs, ours = (each.spec.input(name).shape[axis] for each in (other, one))
    return (
        f"{other.path}: takes {name} of {theirs} where {one.path.name} takes {ours}; "
        "compare models of one size"
    )


def _check_batch(reference: Artifact, by: Artifact | None, shape: Sequence[object]) -> None:
    fed_by_clip = reference.role is not Role.GENERIC or reference.spec.part is not None
    if by is not None and fed_by_clip and shape[0] != 1:
        raise InputError(
            f"{by.path}: takes a batch of {shape[0]} alone, and audio is fed clip by clip; "
            "compare one that was made with `make-static --batch 1`"
        )


def _fits(tensor: TensorSpec, shape: Sequence[int]) -> bool:
    return not tensor.ranked or (
        len(tensor.shape) == len(shape)
        and all(
            not isinstance(size, int) or size == given
            for size, given in zip(tensor.shape, shape, strict=True)
        )
    )
