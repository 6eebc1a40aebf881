"""What a run found, as typed records; `None` is what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from profiles.report.views.fields import Record
from vampnet_models.spec import Role

Kind = Literal["measurement", "estimate", "failed", "absent"]


@dataclass(frozen=True)
class CodebookAgreement:
    """Shares of positions with the reference's token, in one codebook."""

    codebook: int
    agreement: float | None
    floor: float | None
    given_earlier: float | None
    n_positions: int | None


@dataclass(frozen=True)
class MaskRatioAgreement:
    """The share of masked positions with the reference's token, at one mask ratio (0 to 1)."""

    mask_ratio: float
    agreement: float | None
    floor: float | None
    n_positions: int | None


@dataclass(frozen=True)
class BeatAgreement:
    """Shares of beats (`kind` beat or downbeat) found at the same place: of whose, how many."""

    kind: str
    recall: float | None
    precision: float | None
    n_reference: int | None
    n_variant: int | None


@dataclass(frozen=True)
class Accuracy:
    """A variant against its FP32 reference; shares are 0 to 1, KL is in nats."""

    token_agreement: float | None
    floor: float | None
    interval: tuple[float, float] | None
    n_positions: int | None
    per_codebook: tuple[CodebookAgreement, ...]
    per_mask_ratio: tuple[MaskRatioAgreement, ...]
    per_beat_kind: tuple[BeatAgreement, ...]
    near_tie_epsilon: float | None
    near_tie_share: float | None
    agreement_without_near_ties: float | None
    logits_kl: float | None
    top5_containment: float | None
    si_sdr_db: float | None
    floor_si_sdr_db: float | None
    worst_si_sdr_db: float | None
    log_mel_db: float | None
    snr_db: float | None
    clipped: int | None
    nonfinite: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """One variant on one target: measured, estimated, failed, or absent with how to get it.

    `ratio` compares with the FP32 source of the same rounds. `extra` holds all other fields.
    """

    kind: Kind
    target: str
    median_s: float | None = None
    p10_s: float | None = None
    p90_s: float | None = None
    samples_s: tuple[float, ...] = ()
    yardstick_s: tuple[float, ...] = ()
    noisy: bool = False
    session_s: float | None = None
    first_run_s: float | None = None
    peak_rss_bytes: float | None = None
    threads: int | None = None
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    ratio_verdict: str | None = None
    low_s: float | None = None
    high_s: float | None = None
    assumptions: tuple[str, ...] = ()
    reason: str | None = None
    remedy: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    extra: Record = field(default_factory=lambda: Record({}))


@dataclass(frozen=True)
class FloatNode:
    """A weight-carrying node that a recipe left in float, or took to another precision."""

    node: str
    op_type: str
    reason: str


@dataclass(frozen=True)
class FloatKernels:
    """MatMul and Conv kernels that the runtime computes in float, for one reason."""

    op_type: str
    reason: str
    count: int
    flops: float


@dataclass(frozen=True)
class RuntimeCheck:
    """What the runtime's own graph of a variant holds; kernels are counted by operator.

    FLOPs are those of MatMul and Conv; `dequantized` counts DequantizeLinear by what became of it.
    """

    integer_share: float | None
    integer_flops: float | None
    float_flops: float | None
    kernels: dict[str, int]
    attention: dict[str, int]
    float_kernels: tuple[FloatKernels, ...]
    dequantized: dict[str, int]
    upcast_nodes: int | None
    weights_bytes: float | None
    runtime_weights_bytes: float | None
    unresolved: tuple[str, ...]


@dataclass(frozen=True)
class Unmatched:
    """A place where a fusion rule was expected and did not fire."""

    rule: str
    node: str
    reason: str


@dataclass(frozen=True)
class Variant:
    """One recipe applied to one model."""

    recipe: str
    path: str | None
    bytes: float | None
    status: str
    reason: str | None
    accuracy: Accuracy
    profiles: Mapping[str, Profile]
    float_nodes: tuple[FloatNode, ...]
    unmatched: tuple[Unmatched, ...]
    fusions: Mapping[str, float]
    precision: Mapping[str, float]
    warnings: tuple[str, ...]
    runtime: RuntimeCheck | None

    @property
    def usable(self) -> bool:
        """A file was made, whether or not it kept the promised accuracy."""
        return self.status in ("ok", "missed")


@dataclass(frozen=True)
class BlockOption:
    """What a block alone does to the model in one precision."""

    precision: str
    damage: float | None
    time_ratio: float | None
    saved_bytes: float | None = None


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
class Outside:
    """A tensor of which evaluation has values that a calibrated variant does not cover."""

    recipe: str
    tensor: str
    share: float | None


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a source model; `kind` as `inspect` names it."""

    kind: str
    text: str


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

    @property
    def is_decoder(self) -> bool:
        """Whether audio metrics stand in for token agreement."""
        return self.role == Role.CODEC_DECODER

    @property
    def is_beats(self) -> bool:
        """Whether agreement counts beats, not tokens."""
        return self.role == Role.BEATS


@dataclass(frozen=True)
class SetOfParts:
    """A mixture of recipes worth deploying: which recipe serves which role."""

    name: str
    parts: Mapping[str, str]
    bytes: float | None


@dataclass(frozen=True)
class Chain:
    """Time of the whole chain for 10 s of music, calculated from measured medians."""

    name: str
    target: str
    seconds: float | None
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class AudioSet:
    """The audio that calibration and evaluation saw."""

    name: str | None
    sha256: str | None
    calibration_s: float | None
    evaluation_s: float | None
    dropped: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


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
    audio_set: AudioSet
    audio: tuple[AudioFile, ...]
