"""The swap table: which stage of the chain is to blame for an end-to-end difference?

The whole chain runs on the same audio with the same masks and seeds: once all in FP32, then with
one stage exchanged, with all but one, with all, and (the floor) in FP32 on another thread count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimize.truth.audio_metrics import log_mel_db, si_sdr_db
from optimize.truth.bootstrap import Part, figure_of
from vampnet_models.chain.pipeline import Audio, Chain, vamp
from vampnet_models.chain.tokens import (
    Codes,
    SamplingOptions,
    periodic_mask,
    with_upper_codebooks,
)
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import Figure

_STAGES = ("encoder", "coarse", "c2f", "decoder")
FLOOR, ALL = "floor", "all"
PERIOD_FRAMES = 7
_UPPER_CODEBOOK = 3
"""From this codebook on everything is generated, VampNet's default."""


@dataclass(frozen=True)
class SwapRow:
    """A chain with some stages exchanged, against the chain in FP32.

    `tokens` is the share of the final codes that are the same, `log_mel_db` and `si_sdr_db`
    compare the sound (means over the clips).
    """

    name: str
    exchanged: tuple[str, ...]
    tokens: Figure
    log_mel_db: Figure
    si_sdr_db: Figure


def swap_table(
    reference: Chain,
    variant: Chain,
    floor: Chain,
    clips: Sequence[Audio],
    sources: Sequence[tuple[str, str]],
    rate_hz: int,
    sampling: SamplingOptions,
    progress: Progress | None = None,
) -> tuple[SwapRow, ...]:
    """One row per exchange; `floor` is the FP32 chain in other sessions.

    `clips` are float32 `[n]` at `rate_hz`, the codec's; `sources` the recording and the name of
    each.
    """
    chains: dict[str, tuple[Chain, tuple[str, ...]]] = {FLOOR: (floor, ())}
    for stage in _STAGES:
        chains[f"{stage} alone"] = (_exchanged(reference, variant, (stage,)), (stage,))
    for stage in _STAGES:
        others = tuple(s for s in _STAGES if s != stage)
        chains[f"all but {stage}"] = (_exchanged(reference, variant, others), others)
    chains[ALL] = (variant, _STAGES)
    total, done = (len(chains) + 1) * len(clips), 0
    sounds: list[tuple[Audio, Codes]] = []
    for number, clip in enumerate(clips):
        sounds.append(_vamp(reference, clip, number, sampling))
        done += 1
        if progress is not None:
            progress(done, total)
    rows = []
    for name, (chain, exchanged) in chains.items():
        same, mels, ratios = [], [], []
        each = zip(clips, sounds, sources, strict=True)
        for number, (clip, (audio, codes), source) in enumerate(each):
            ours, found = _vamp(chain, clip, number, sampling)
            same.append(Part(*source, int((found == codes).sum()), codes.size))
            mels.append(Part(*source, log_mel_db(audio, ours, rate_hz), 1))
            ratios.append(Part(*source, si_sdr_db(audio, ours), 1))
            done += 1
            if progress is not None:
                progress(done, total)
        figures = (figure_of(parts) for parts in (same, mels, ratios))
        rows.append(SwapRow(name, exchanged, *figures))
    return tuple(rows)


def _exchanged(reference: Chain, variant: Chain, stages: Sequence[str]) -> Chain:
    return replace(reference, **{stage: getattr(variant, stage) for stage in stages})


def _vamp(chain: Chain, clip: Audio, number: int, sampling: SamplingOptions) -> tuple[Audio, Codes]:
    seeded = replace(sampling, seed=sampling.seed + number)
    fine = replace(seeded, steps=min(2, sampling.steps))
    return vamp(chain, clip, variation_mask, seeded, fine)


def variation_mask(shape: tuple[int, ...]) -> Codes:
    """Every seventh frame of the first codebooks is kept: a variation as users make them."""
    return with_upper_codebooks(periodic_mask(shape, PERIOD_FRAMES), _UPPER_CODEBOOK)
