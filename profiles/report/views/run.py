"""What a run found, as the report shows it; `None` is what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vampnet_models.family import Family
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.profiles import Profile
from vampnet_models.records.results import Audio, BlockOption, Chain, Outside, Problem, SetOfParts
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import FloatNode, Unmatched
from vampnet_models.spec import Role


@dataclass(frozen=True)
class Variant:
    """One recipe applied to one model."""

    recipe: str
    path: str | None
    bytes: float | None
    status: str
    reason: str | None
    accuracy: AccuracyReport
    profiles: Mapping[str, Profile]
    float_nodes: tuple[FloatNode, ...]
    unmatched: tuple[Unmatched, ...]
    fusions: Mapping[str, float]
    precision: Mapping[str, float]
    warnings: tuple[str, ...]
    runtime: RuntimeFacts | None

    @property
    def usable(self) -> bool:
        """A file was made, whether or not it kept the promised accuracy."""
        return self.status in ("ok", "missed")


@dataclass(frozen=True)
class Block:
    """A block of a tuned model, the precision that it got, and why no smaller one."""

    name: str
    chosen: str
    options: tuple[BlockOption, ...]
    why: str | None = None


@dataclass(frozen=True)
class FeedCoverage:
    """What one side's feeds exercise; counts by name, shares per codebook."""

    side: str
    n_feeds: int | None
    mask_ratios: tuple[float, ...]
    prompts: Mapping[str, float]
    entries_seen: tuple[float, ...]
    lengths: Mapping[str, float]
    classes: Mapping[str, float]
    codes_from: Mapping[str, float]


@dataclass(frozen=True)
class Model:
    """A source model and its variants; `profiles` are the FP32 source's own.

    `blocks` are there where a search chose a precision for each. `coverage` is that of the feeds,
    `problems` what `inspect` finds wrong with the source, `failed_steps` what could not be done
    with it, and why.
    """

    name: str
    role: str
    source_bytes: float | None
    source_sha256: str | None
    weights: str
    profiles: Mapping[str, Profile]
    variants: tuple[Variant, ...]
    blocks: tuple[Block, ...] = ()
    coverage: tuple[FeedCoverage, ...] = ()
    outside: tuple[Outside, ...] = ()
    problems: tuple[Problem, ...] = ()
    failed_steps: tuple[str, ...] = ()
    family: Family | None = None

    @property
    def is_decoder(self) -> bool:
        """Whether audio metrics stand in for token agreement."""
        return self.role == Role.CODEC_DECODER

    @property
    def is_beats(self) -> bool:
        """Whether agreement counts beats, not tokens."""
        return self.role == Role.BEATS


@dataclass(frozen=True)
class AudioFile:
    """A sound to listen to; `path` is relative to the run's folder."""

    path: str
    title: str
    note: str | None


@dataclass(frozen=True)
class Run:
    """Everything that the report shows."""

    version: str | None
    command: str | None
    created: str | None
    host: tuple[tuple[str, object], ...]
    models: tuple[Model, ...]
    skipped: tuple[tuple[str, str], ...]
    totals: Mapping[str, float]
    sets: tuple[SetOfParts, ...]
    chains: tuple[Chain, ...]
    audio_set: Audio
    audio: tuple[AudioFile, ...]
