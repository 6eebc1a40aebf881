"""The one family that the models of a chain belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vampnet_models.errors import InputError
from vampnet_models.family import FAMILIES, TYPICAL, Family, codec_family
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.repair.layouts import inputs_of
from vampnet_models.spec import Part, Role, codec_books, n_coarse_of

_HEARD = (Role.CODEC_ENCODER, Role.CODEC_DECODER, Part.ENCODER, Part.DECODER)
_STAGES = (Role.COARSE, Role.C2F)


def in_family(artifacts: Sequence[Artifact], sample_rate_hz: int | None = None) -> list[Artifact]:
    """The models, those whose files name no family in that of the codec or models beside them.

    `sample_rate_hz` is the user's word on a codec of which nothing tells it. Raises InputError
    where that contradicts a codec, or cannot help it.
    """
    sized = _sized(_together(artifacts))
    return _together([_at_rate(a, sample_rate_hz) for a in sized])


def family_of_chain(artifacts: Iterable[Artifact]) -> Family:
    """The family whose audio and codes serve all of these models.

    Codes of the built-in codec serve transformers that have none beside them. Raises InputError
    for a codec whose rate nobody told, and for models of two families.
    """
    first: Artifact | None = None
    coarse: dict[int, Artifact] = {}
    for artifact in artifacts:
        spec = artifact.spec
        if spec.lacks_rate:
            raise InputError(
                f"{artifact.path}: nothing tells the sample rate of this codec: give it with "
                "--sample-rate HZ"
            )
        if spec.role in _STAGES:
            coarse.setdefault(n_coarse_of(spec), artifact)
        if spec.family is None:
            continue
        if first is None or first.spec.family is None:
            first = artifact
        elif not first.spec.family.shares_codec(spec.family):
            raise InputError(
                f"{artifact.path}: is of {spec.family.described}, {first.path} of "
                f"{first.spec.family.described}; give models of one codec"
            )
    if len(coarse) > 1:
        (n, one), (other_n, other) = list(coarse.items())[:2]
        raise InputError(
            f"{other.path}: counts {other_n} codebooks as coarse, {one.path} {n}; give two that "
            "were trained together"
        )
    return TYPICAL if first is None or first.spec.family is None else first.spec.family


def told_by(artifact: Artifact, others: Sequence[Artifact], reporter: Reporter) -> Artifact:
    """A codec of unknown rate in the family that a variant of it tells, with a word; else as is."""
    found = next((o for o in others if o.spec.family is not None), None)
    if found is None or found.spec.family is None or artifact.spec.family is not None:
        return artifact
    told = joined(artifact, found.spec.family)
    if told.spec.family is not None:
        name = artifact.path.name
        reporter.note(f"{name}: of {found.spec.family.described}, as {found.path.name} says")
    return told


def unrated(artifact: Artifact) -> str | None:
    """What a codec of unknown rate goes without, where it is fed with no recordings."""
    if not artifact.spec.lacks_rate:
        return None
    return (
        f"{artifact.path.name}: nothing tells its sample rate: seconds of sound, real-time factors "
        "and log-mel are left out; give --sample-rate HZ"
    )


def unsaid(before: Artifact, after: Artifact) -> str | None:
    """What speaks against a transformer `before` it was `joined` to a codec; None where nothing.

    A codec of a family with transformers has its own; of others nothing says that it is one's.
    """
    spec, family = before.spec, after.spec.family
    if spec.role not in _STAGES or spec.family is not None or family is None:
        return None
    n = inputs_of(spec).codes.shape[1]
    has = family.n_codebooks
    if isinstance(n, int) and (n > has or (spec.role is Role.C2F and n != has)):
        return (
            f"{before.path.name}: takes {n} codebooks, and {family.name} has "
            f"{has}: it is of another codec; put that one's encoder beside it"
        )
    known = any(each.n_coarse_codebooks and each.shares_codec(family) for each in FAMILIES)
    if known:
        return None
    return (
        f"{before.path.name}: nothing says that it was trained on the codes of {family.described}; "
        "if it was not, its agreement says nothing"
    )


def of_family(artifact: Artifact, family: Family | None) -> Artifact:
    """The model in a family that was recorded of it, where its file names none."""
    known = family is None or artifact.spec.family is not None
    return artifact if known else replace(artifact, spec=replace(artifact.spec, family=family))


def joined(artifact: Artifact, family: Family) -> Artifact:
    """A model of a chain in the family of the codec beside it, where its file names none."""
    spec = artifact.spec
    if spec.role in _STAGES:
        family = replace(family, n_coarse_codebooks=n_coarse_of(spec))
    elif not _hears(artifact) and spec.part is None:
        return artifact
    fits = spec.hop in (None, family.hop_samples)
    return of_family(artifact, family) if fits else artifact


def apart(one: Artifact, other: Artifact) -> bool:
    """Whether two models are known to be of different codecs."""
    own, theirs = one.spec.family, other.spec.family
    return own is not None and theirs is not None and not own.shares_codec(theirs)


def _together(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """All in the first family that is known of one, a codec's before a transformer's."""
    ordered = sorted(artifacts, key=_hears, reverse=True)
    family = next((a.spec.family for a in ordered if a.spec.family is not None), None)
    return [a if family is None else joined(a, family) for a in artifacts]


def _sized(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """A codec's models of unknown family with the codes per codebook that the others' tables have.

    They may look nothing up themselves: where the tables disagree, nothing is said of those.
    """
    sizes = {a.spec.codebook_size for a in artifacts if _hears(a)} - {None}
    if len(sizes) != 1:
        return list(artifacts)
    (size,) = sizes
    return [
        replace(a, spec=replace(a.spec, codebook_size=size))
        if _hears(a) and a.spec.family is None
        else a
        for a in artifacts
    ]


def _at_rate(artifact: Artifact, sample_rate_hz: int | None) -> Artifact:
    spec = artifact.spec
    if sample_rate_hz is None or not _hears(artifact):
        return artifact
    if spec.family is not None:
        if spec.family.sample_rate_hz != sample_rate_hz:
            raise InputError(
                f"{artifact.path}: is of {spec.family.described}, and --sample-rate says "
                f"{sample_rate_hz}; leave it out"
            )
        return artifact
    if spec.hop is None:
        raise InputError(
            f"{artifact.path}: how many samples make a frame cannot be read off its strides; "
            "import its checkpoint (`vampbench import`)"
        )
    books = codec_books(spec) or TYPICAL.n_codebooks
    size = spec.codebook_size or TYPICAL.codebook_size
    name = f"a codec of {sample_rate_hz / 1000:g} kHz"
    return of_family(artifact, codec_family(name, sample_rate_hz, spec.hop, books, size))


def _hears(artifact: Artifact) -> bool:
    """Whether it takes or gives sound, so that its rate counts."""
    return artifact.role in _HEARD or artifact.spec.part in _HEARD
