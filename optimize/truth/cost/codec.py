"""What an encoder or decoder loses: how much farther from the recording it sounds than FP32.

An encoder's codes are heard through the FP32 decoder, a decoder plays FP32's codes. The cost is
the variant's distance to the recording minus FP32's own (paired: of the same pieces), so that a
difference which brings the sound no farther away costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.feeds.evidence import Evidence, Passage
from optimize.truth.audio_metrics import log_mel_db, si_sdr_db, stft_distance
from optimize.truth.bootstrap import Part, figure_of
from vampnet_models.chain.pipeline import Audio, decode
from vampnet_models.chain.side_by_side import each_of, open_side_by_side
from vampnet_models.chain.tokens import Codes
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.spec import ModelSpec, codec_books

_LEAST_SI_SDR_DB = 3.0
"""Of FP32 to the recording: below it, the waveform is not what the codec keeps."""


@dataclass(frozen=True)
class _Distances:
    """Of a piece's sound to the recording; `log_mel_db` is None where no rate is known."""

    log_mel_db: float | None
    stft: float
    si_sdr_db: float


@dataclass(frozen=True)
class SoundTruth:
    """The passages, and how far FP32 and the floor are from each of them.

    `codes` are those that FP32 gives each passage, int64 `[1, codebooks, frames]`, of encoders
    alone: where a variant gives the same, nothing need be decoded again.
    """

    spec: ModelSpec
    evidence: Evidence
    codes: tuple[Codes, ...]
    reference: tuple[_Distances, ...]
    floor: tuple[_Distances, ...]

    def of_feeds(self, feeds: Sequence[int]) -> SoundTruth:
        """The truth about the passages of some feeds, which are numbered anew in this order."""
        numbers = {feed: number for number, feed in enumerate(feeds)}
        kept = [i for i, each in enumerate(self.evidence.passages) if each.feed in numbers]
        passages = [self.evidence.passages[i] for i in kept]
        renumbered = tuple(replace(each, feed=numbers[each.feed]) for each in passages)
        return replace(
            self,
            evidence=replace(self.evidence, passages=renumbered),
            codes=tuple(self.codes[i] for i in kept) if self.codes else (),
            reference=tuple(self.reference[i] for i in kept),
            floor=tuple(self.floor[i] for i in kept),
        )


def sound_truth(
    reference: Artifact, evidence: Evidence, answers: Sequence[Feeds], floor: Sequence[Feeds]
) -> SoundTruth:
    """Measure FP32's answers to its feeds, and the floor's.

    Raises InputError where the decoder of the chain does not run on an encoder's codes.
    """
    codes: tuple[Codes, ...] = ()
    if evidence.decoder is not None:
        codes = tuple(_codes(reference.spec, each, answers) for each in evidence.passages)
    unknown = SoundTruth(reference.spec, evidence, (), (), ())
    known = replace(unknown, codes=codes, reference=_measured(unknown, answers))
    return replace(known, floor=_measured(known, floor))


def with_costs_of_sound(
    report: AccuracyReport, truth: SoundTruth, answers: Sequence[Feeds]
) -> AccuracyReport:
    """The report with the costs of the codec, whose n counts samples.

    Every second of sound weighs the same. Raises InputError as `sound_truth` does.
    """
    found = _measured(truth, answers)
    has_rate = all(each.log_mel_db is not None for each in truth.reference)
    counts = [each.si_sdr_db >= _LEAST_SI_SDR_DB for each in truth.reference]
    everywhere = [True] * len(counts)
    return replace(
        report,
        cost_log_mel_db=_figure(truth, found, lambda d: d.log_mel_db or 0, everywhere)
        if has_rate
        else None,
        cost_stft=_figure(truth, found, lambda d: d.stft, everywhere),
        # A ratio that falls is a loss.
        cost_si_sdr_db=_figure(truth, found, lambda d: -d.si_sdr_db, counts)
        if any(counts)
        else None,
    )


def _figure(
    truth: SoundTruth,
    found: Sequence[_Distances],
    measure: Callable[[_Distances], float],
    counts: Sequence[bool],
) -> Figure:
    """The mean of what was found minus FP32's own, of the passages that count."""

    def parts(theirs: Sequence[_Distances]) -> list[Part]:
        rows = zip(truth.evidence.passages, truth.reference, theirs, counts, strict=True)
        return [
            Part(
                passage.place.recording,
                passage.place.piece,
                (measure(other) - measure(own)) * len(passage.samples),
                len(passage.samples),
            )
            for passage, own, other, does_count in rows
            if does_count
        ]

    figure = figure_of(parts(found), parts(truth.floor))
    family = truth.spec.family
    return figure if family is None else replace(figure, heard_s=figure.n / family.sample_rate_hz)


def _measured(truth: SoundTruth, answers: Sequence[Feeds]) -> tuple[_Distances, ...]:
    """The distance of each passage's sound to its recording."""
    decoder, passages = truth.evidence.decoder, truth.evidence.passages
    if decoder is None:
        return tuple(
            _distances(truth.spec, each, _played(truth.spec, each, answers)) for each in passages
        )
    session, books = open_side_by_side(decoder.path, decoder), codec_books(decoder.spec)

    def decoded(number: int) -> _Distances:
        codes = _codes(truth.spec, passages[number], answers)
        if truth.codes and np.array_equal(codes, truth.codes[number]):
            return truth.reference[number]
        return _distances(truth.spec, passages[number], decode(session, codes[:, :books]))

    return tuple(each_of(session, decoded, range(len(passages))))


def _codes(spec: ModelSpec, passage: Passage, answers: Sequence[Feeds]) -> Codes:
    first = passage.place.first_frame
    codes: Codes = answers[passage.feed][spec.outputs[0].name]
    return codes[:, :, first : first + passage.n_frames]


def _played(spec: ModelSpec, passage: Passage, answers: Sequence[Feeds]) -> Audio:
    first = passage.place.first_frame * (spec.hop or spec.lengths_of.hop_samples)
    sound: Audio = answers[passage.feed][spec.outputs[0].name][0, 0]
    return sound[first : first + len(passage.samples)]


def _distances(spec: ModelSpec, passage: Passage, sound: Audio) -> _Distances:
    n = min(len(sound), len(passage.samples))
    recording, finite = passage.samples[:n], np.nan_to_num(sound[:n], posinf=0, neginf=0)
    rate_hz = None if spec.family is None else spec.family.sample_rate_hz
    return _Distances(
        None if rate_hz is None else log_mel_db(recording, finite, rate_hz),
        stft_distance(recording, finite),
        si_sdr_db(recording, finite),
    )
