"""Token truth: does a variant say what its reference says?

The words are DESIGN.md's. Encoders are compared on all their codes, transformers teacher-forced
on masked positions (both see the same states), decoders by their audio, beat trackers by their
beats, anything else output by output: by argmax, equality or SQNR. Every share comes with its
number of positions, a bootstrap interval, and the floor: the reference against itself with another
thread count and graph-optimization level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.feeds.evidence import NO_EVIDENCE, Evidence
from optimize.truth import agreement, beats
from optimize.truth.accuracy_generic import generic_report
from optimize.truth.agreement import Comparison, kl_nats, shares_of
from optimize.truth.answers import answers_of, logit_rows
from optimize.truth.audio_metrics import log_mel_db, si_sdr_db, snr_db
from optimize.truth.bootstrap import Part, figure_of
from optimize.truth.cost.truth import CostTruth, cost_truth, with_costs
from optimize.truth.sampled import sampled_agreement, sampled_parts
from vampnet_models.chain.side_by_side import open_side_by_side
from vampnet_models.chain.tokens import C2F_SAMPLING, COARSE_SAMPLING, SamplingOptions
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Array, Feeds, Session
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import AccuracyReport, BeatShare, NearTies, StepShare
from vampnet_models.repair.layouts import mask_of
from vampnet_models.spec import Role, conditioning_of

_LOGIT_EPSILON = 0.1
"""Nats: a top-2 margin below this is a near-tie of a transformer."""

_DISTANCE_EPSILON = 0.001
"""Squared distance of unit vectors (0 to 4): a margin below this is an encoder's near-tie."""

WAY_OF_JUDGING = "3: sampled agreement and costs"
"""Part of the key of a kept comparison: one that was judged in an earlier way is made anew."""


@dataclass(frozen=True)
class Truth:
    """The reference's answers and the floor's, for the same feeds.

    `strata` holds the tenth of each feed's mask ratio (0 for models without masks), `steps` the
    sampling step that each feed is a state of, or nothing where that is unknown. `sources` are the
    recording and the clip of each feed. `costs` are what a variant's costs are measured against;
    nothing, the default, where they do not apply.
    """

    reference: Artifact
    feeds: tuple[Feeds, ...]
    strata: tuple[int, ...]
    answers: tuple[Feeds, ...]
    floor: tuple[Feeds, ...]
    steps: tuple[int | None, ...]
    sources: tuple[tuple[str, str], ...]
    costs: CostTruth = field(default_factory=CostTruth)


_Answers = Iterable[Feeds]


def reference_truth(
    reference: Artifact,
    feeds: Sequence[Feeds],
    progress: Progress | None = None,
    steps: Sequence[int | None] = (),
    sources: Sequence[tuple[str, str]] = (),
    evidence: Evidence = NO_EVIDENCE,
) -> Truth:
    """Run the reference twice: as usual, and with other threads and no graph optimization.

    `steps` are the feeds' sampling steps, for agreement per step, `sources` the recording and the
    clip of each, for intervals: without any, each feed is a clip of one recording. `evidence` is
    what costs are measured on.

    Raises InputError when there is no feed, the model cannot be run, or one of a known role
    answers with NaN or infinity.
    """
    if not feeds:
        raise InputError(f"{reference.path.name}: no evaluation feed; give more audio")
    n = len(feeds)
    answers = tuple(
        answers_of(
            reference,
            feeds,
            margins=True,
            progress=None if progress is None else (lambda i, _: progress(i, 2 * n)),
        )
    )
    again = answers_of(
        reference,
        feeds,
        as_floor=True,
        progress=None if progress is None else (lambda i, _: progress(n + i, 2 * n)),
    )
    floor = tuple(_floor(reference, *pair) for pair in zip(answers, again, strict=True))
    strata = tuple(_stratum(reference, feed) for feed in feeds)
    named = tuple(sources) or tuple(("feeds", str(number)) for number in range(n))
    truth = Truth(reference, tuple(feeds), strata, answers, floor, tuple(steps), named)
    if reference.role is not Role.GENERIC:
        _require_finite(truth)
    costs = cost_truth(
        reference,
        evidence,
        truth.answers,
        truth.floor,
        progress=progress,
    )
    return replace(truth, costs=costs)


def _floor(reference: Artifact, own: Feeds, again: Feeds) -> Feeds:
    """The floor's answer; of a transformer's logits only how far they agree, far smaller."""
    if reference.role not in (Role.COARSE, Role.C2F) or "logits" not in again:
        return again
    sampled = sampled_agreement(own["logits"], again["logits"], _sampling(reference))
    return {"tokens": again["tokens"], "sampled": sampled}


def _sampling(reference: Artifact) -> SamplingOptions:
    return C2F_SAMPLING if reference.role is Role.C2F else COARSE_SAMPLING


def _require_finite(truth: Truth) -> None:
    """Raise InputError where a model of a known role answers with NaN or infinity itself."""
    for number, answer in enumerate(truth.answers):
        for name, values in answer.items():
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                raise InputError(
                    f"{truth.reference.path}: its own {name} holds NaN or infinity on evaluation "
                    f"feed {number}: nothing can be compared with it; mend the model"
                )


def compare(truth: Truth, variant: Artifact, progress: Progress | None = None) -> AccuracyReport:
    """Run the variant on the reference's feeds and compare. Raises InputError if it cannot run."""
    like = truth.reference
    answers = answers_of(variant, truth.feeds, like=like, progress=progress)
    return judge(truth, answers, lambda: open_side_by_side(variant.path, like), progress)


def judge(
    truth: Truth,
    answers: Iterable[Feeds],
    variant: Callable[[], Session],
    progress: Progress | None = None,
) -> AccuracyReport:
    """Compare a variant's answers, in the order of the feeds, and find its costs.

    `variant` opens it for a cost that its answers do not tell. Raises InputError where it does not
    run.
    """
    kept: tuple[Feeds, ...] = ()
    if truth.costs.sounds is not None:
        answers = kept = tuple(answers)
    return with_costs(_compared(truth, answers), truth.costs, variant, kept, progress)


def _compared(truth: Truth, answers: _Answers) -> AccuracyReport:
    """How near the answers are to the reference's own."""
    role = truth.reference.role
    if role is Role.CODEC_ENCODER:
        return _encoder_report(truth, answers)
    if role in (Role.COARSE, Role.C2F):
        return _transformer_report(truth, answers)
    if role is Role.CODEC_DECODER:
        return _decoder_report(truth, answers)
    if role is Role.BEATS:
        return _beats_report(truth, answers)
    return generic_report(truth.reference.spec, truth.feeds, truth.answers, truth.floor, answers)


def _encoder_report(truth: Truth, answers: _Answers) -> AccuracyReport:
    name = truth.reference.spec.outputs[0].name
    rows, floor_rows, ties = [], [], []
    each = zip(answers, truth.answers, truth.floor, truth.sources, strict=True)
    for ours, own, floor, source in each:
        counted = np.ones(own[name][0].shape, bool)
        rows.append(Comparison(_same(ours[name], own[name]), counted, source=source))
        floor_rows.append(Comparison(_same(floor[name], own[name]), counted))
        if "margins" in own:
            ties.append(own["margins"] < _DISTANCE_EPSILON)
    notes = () if ties else ("near-ties unknown: the graph shows no distance per codebook",)
    near = _near_ties(rows, ties, _DISTANCE_EPSILON) if ties else None
    given = agreement.given_earlier(rows)
    return AccuracyReport(**shares_of(rows, floor_rows, given=given), near_ties=near, notes=notes)


def _transformer_report(truth: Truth, answers: _Answers) -> AccuracyReport:
    rows, floor_rows, ties, kl, top5 = [], [], [], [], []
    drawn: list[Part] = []
    floor_drawn: list[Part] = []
    nonfinite = 0
    each = zip(
        answers, truth.answers, truth.floor, truth.feeds, truth.strata, truth.sources, strict=True
    )
    for ours, own, floor, feed, stratum, source in each:
        counted = np.asarray(mask_of(truth.reference.spec, feed)[0], bool)
        predicted = len(counted) - conditioning_of(truth.reference.spec)
        # Conditioning codebooks are never predicted, whatever their mask says.
        counted = counted & (np.arange(len(counted)) >= len(counted) - predicted)[:, None]
        rows.append(Comparison(_same(ours["tokens"], own["tokens"]), counted, stratum, source))
        floor_rows.append(Comparison(_same(floor["tokens"], own["tokens"]), counted, stratum))
        if "logits" not in own or "logits" not in ours:
            continue
        tie = np.zeros(counted.shape, bool)
        tie[-predicted:] = own["margins"] < _LOGIT_EPSILON
        ties.append(tie)
        nonfinite += int(ours["nonfinite"])
        kl.append(kl_nats(own["logits"], ours["logits"]))
        places = logit_rows(mask_of(truth.reference.spec, feed), predicted)
        at = places, predicted, counted.shape, source, stratum
        sampled = sampled_agreement(own["logits"], ours["logits"], _sampling(truth.reference))
        drawn += sampled_parts(sampled, *at)
        if "sampled" in floor:
            floor_drawn += sampled_parts(floor["sampled"], *at)
        best5 = np.argpartition(ours["logits"], -5, axis=-1)[:, -5:]
        top5.append((best5 == own["logits"].argmax(axis=-1)[:, None]).any(axis=-1))
    has_logits = bool(kl)
    return AccuracyReport(
        **shares_of(rows, floor_rows, by_ratio=True),
        per_step=_per_step(truth.steps, rows, floor_rows),
        near_ties=_near_ties(rows, ties, _LOGIT_EPSILON) if has_logits else None,
        logits_kl=float(np.concatenate(kl).mean()) if has_logits else None,
        top5_containment=float(np.concatenate(top5).mean()) if has_logits else None,
        sampled_agreement=figure_of(drawn, floor_drawn, by_ratio=True) if has_logits else None,
        nonfinite=nonfinite,
        notes=() if has_logits else ("no logits output: KL, top-5 and near-ties are unknown",),
    )


def _decoder_report(truth: Truth, answers: _Answers) -> AccuracyReport:
    name = truth.reference.spec.outputs[0].name
    family = truth.reference.spec.family
    ratios, floors, noises, mels = [], [], [], []
    clipped = nonfinite = n = 0
    for ours, own, floor in zip(answers, truth.answers, truth.floor, strict=True):
        reference, variant = own[name][0, 0], ours[name][0, 0]
        bad = ~np.isfinite(variant)
        nonfinite += int(bad.sum())
        variant = np.where(bad, 0, variant)
        clipped += int((np.abs(variant) >= 1).sum() - (np.abs(reference) >= 1).sum())
        ratios.append(si_sdr_db(reference, variant))
        floors.append(si_sdr_db(reference, floor[name][0, 0]))
        noises.append(snr_db(reference, variant))
        if family is not None:
            mels.append(log_mel_db(reference, variant, family.sample_rate_hz))
        n += len(reference)
    return AccuracyReport(
        n_positions=n,
        si_sdr_db=float(np.mean(ratios)),
        floor_si_sdr_db=float(np.mean(floors)),
        worst_si_sdr_db=float(np.min(ratios)),
        snr_db=float(np.mean(noises)),
        log_mel_db=float(np.mean(mels)) if mels else None,
        notes=() if mels else ("log-mel unknown: nothing tells the codec's sample rate",),
        clipped=clipped,
        nonfinite=nonfinite,
    )


def _beats_report(truth: Truth, answers: _Answers) -> AccuracyReport:
    """F-measure over beats and downbeats of all clips, and SQNR of the logits."""
    name = truth.reference.spec.outputs[0].name
    found: tuple[list[beats.Match], ...] = tuple([] for _ in beats.KINDS)
    floors: list[beats.Match] = []
    rows, noises = [], []
    nonfinite = 0
    for ours, own, floor, feed in zip(
        answers, truth.answers, truth.floor, truth.feeds, strict=True
    ):
        samples = next(iter(feed.values())).shape[-1]
        frame_s = beats.frame_s(samples, own[name].shape[-1])
        mine, theirs, base = (
            beats.beat_times_s(logits[name][0], frame_s) for logits in (ours, own, floor)
        )
        for index, times in enumerate(zip(theirs, mine, strict=True)):
            match = beats.match(*times)
            found[index].append(match)
            rows.append(beats.comparison(times, match))
            floors.append(beats.match(theirs[index], base[index]))
        nonfinite += int((~np.isfinite(ours[name])).sum())
        noises.append(snr_db(own[name], np.nan_to_num(ours[name])))
    kinds = [beats.joined(matches) for matches in found]
    n = sum(len(k.reference) for k in kinds)
    return AccuracyReport(
        token_agreement=beats.joined(kinds).f_measure if n else None,
        floor=beats.joined(floors).f_measure if n else None,
        interval=agreement.interval(rows) if n else None,
        n_positions=n,
        per_beat_kind=tuple(
            BeatShare(kind, k.recall, k.precision, len(k.reference), len(k.variant))
            for kind, k in zip(beats.KINDS, kinds, strict=True)
        ),
        snr_db=float(np.mean(noises)),
        nonfinite=nonfinite,
        notes=() if n else (f"the reference finds no beat, the variant {_found(kinds)}",),
    )


def _found(kinds: Sequence[beats.Match]) -> str:
    n = sum(len(k.variant) for k in kinds)
    return f"{n}: judge it by its SQNR" if n else "none either: judge it by its SQNR"


def _per_step(
    steps: Sequence[int | None], rows: list[Comparison], floor_rows: list[Comparison]
) -> tuple[StepShare, ...]:
    found = []
    for step in sorted({s for s in steps if s is not None}):
        at = [i for i, s in enumerate(steps) if s == step]
        ours = agreement.total([replace(rows[i], stratum=0) for i in at])
        floor = agreement.total([replace(floor_rows[i], stratum=0) for i in at])
        found.append(StepShare(step, ours.value, floor.value, ours.n_positions))
    return tuple(found)


def _near_ties(rows: list[Comparison], ties: list[Array], epsilon: float) -> NearTies:
    counted = sum(int(r.counted.sum()) for r in rows)
    tied = sum(int((t & r.counted).sum()) for t, r in zip(ties, rows, strict=True))
    clear = [Comparison(r.same, r.counted & ~t, r.stratum) for r, t in zip(rows, ties, strict=True)]
    return NearTies(epsilon, tied / counted if counted else 0.0, agreement.total(clear).value)


def _same(ours: Array, own: Array) -> Array:
    return np.asarray(ours[0] == own[0])


def _stratum(reference: Artifact, feed: Feeds) -> int:
    """The tenth of the mask ratio over the predicted codebooks; 0 for models without masks."""
    if reference.role not in (Role.COARSE, Role.C2F):
        return 0
    mask = mask_of(reference.spec, feed)
    return agreement.stratum_of(float(mask[:, conditioning_of(reference.spec) :].mean()))
