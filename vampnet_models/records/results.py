"""The contents of results.json: what a run found, with paths relative to the file's folder.

A file may lack what an earlier version did not note: such fields have defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vampnet_models.family import Family
from vampnet_models.records.accuracy import AccuracyReport, FreeRunning
from vampnet_models.records.host import Host
from vampnet_models.records.import_record import ImportRecord
from vampnet_models.records.profiles import Profile
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.song import SetSong, SongPrompts
from vampnet_models.records.variant import FeedCoverage, VariantRecord
from vampnet_models.spec import Role

UNKNOWN_ROLE = "unknown-role"
"""Of a model that stands in no known chain: nothing is wrong with it."""

FP32 = "fp32"
"""Where a recipe is named: the source itself, as it came in."""

UNKNOWN_RATE = "unknown-rate"
"""Of a codec whose sample rate nothing tells: nothing is wrong with it."""


@dataclass(frozen=True)
class Problem:
    """Something that will hurt, where, and what to do; a `fatal` one makes the model useless."""

    kind: str
    text: str
    fatal: bool = False


@dataclass(frozen=True)
class Outside:
    """A tensor of which evaluation has values outside the ranges that `recipe` calibrated.

    share: of its values, or of its worst channel's (0 to 1).
    """

    tensor: str
    recipe: str = "?"
    share: float | None = None


@dataclass(frozen=True)
class BothCoverages:
    """What the feeds of both sides exercise, and what evaluation has beyond calibration."""

    calibration: FeedCoverage | None = None
    evaluation: FeedCoverage | None = None
    outside: tuple[Outside, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One recipe applied to one model; `reason` says why it is not ok.

    path, bytes, record: of the file that was made; None where none was.
    accuracy: None where it was not compared.
    profiles: by target.
    grades: that it is shown to hold, the stricter first; None where that was not looked at.
    """

    recipe: str
    status: Literal["ok", "missed", "failed", "not-applicable"]
    path: str | None = None
    bytes: int | None = None
    reason: str | None = None
    accuracy: AccuracyReport | None = None
    profiles: dict[str, Profile] = field(default_factory=dict)
    record: VariantRecord | None = None
    grades: tuple[GradeName, ...] | None = None

    @property
    def usable(self) -> bool:
        """A file was made, whether or not it kept the promised accuracy."""
        return self.status in ("ok", "missed")

    @property
    def judged(self) -> AccuracyReport:
        """The accuracy, without figures where it was not compared."""
        return self.accuracy or AccuracyReport(n_positions=None, nonfinite=None)

    @property
    def runtime(self) -> RuntimeFacts | None:
        """What the runtime made of it; None where that was not read back."""
        return None if self.record is None else self.record.runtime


WhyCode = Literal["nothing-smaller", "overflows", "slower", "damage", "whole-model"]


@dataclass(frozen=True)
class Why:
    """Why a block got no smaller precision: a code and values for programs, words for a person.

    precision: the next smaller one, with its figures against what was chosen.
    damage: its own, None where it overflows; `damage_ratio` is None where the chosen one does none.
    All figures are None for `nothing-smaller`, and for `whole-model`: one recipe for all.
    """

    text: str
    code: WhyCode | None = None
    precision: str | None = None
    saves_bytes: int | None = None
    damage: float | None = None
    damage_ratio: float | None = None
    time_ratio: float | None = None


@dataclass(frozen=True)
class BlockOption:
    """What a block alone does to the model in one precision.

    damage: adds up over blocks to a first order; None where it overflows.
    agreement: share of equal tokens, 0 to 1; None where there are none.
    saved_bytes: against FP32.
    time_ratio: the whole model's time against FP32's.
    sampled_agreement: of a transformer with logits, 0 to 1; None of other models.
    cost: nats per token of a transformer, dB log-mel of a codec; None where a search did not
        measure it.
    """

    block: str
    precision: str
    damage: float | None
    agreement: float | None
    saved_bytes: int
    time_ratio: float
    sampled_agreement: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Block:
    """A block of a tuned model, and the precision that it got; an old file has words as `why`."""

    block: str
    chosen: str
    options: tuple[BlockOption, ...] = ()
    why: Why | str | None = None
    nodes: int | None = None

    @property
    def words(self) -> str:
        """Why it got no smaller precision, for a person."""
        return self.why.text if isinstance(self.why, Why) else self.why or ""


Accepts = Literal["any", "one", "up-to", "none", "declared"]


@dataclass(frozen=True)
class Lengths:
    """Which lengths a model takes; None where that was not found out.

    accepts: `any`, `one` and `up-to` (of `length`), `none`, `declared` (a generic model).
    length: in samples of an encoder's sound, in frames of codes.
    whole_mask: whether a transformer takes nothing that is partly masked.
    reason: what the runtime said of another length.
    """

    accepts: Accepts | None
    length: int | None
    whole_mask: bool | None
    reason: str | None


@dataclass(frozen=True)
class FailedStep:
    """A step that could not be done with a model, and why."""

    step: str = "a step"
    reason: str = "no reason given"


@dataclass(frozen=True)
class Model:
    """A source model and its variants; `profiles` are the FP32 source's own.

    made_here: whether this workbench wrote the graph.
    lengths: which it takes; None where that was not found out.
    family: of a chain's model; None where it is unknown, and in files of earlier versions.
    blocks, free_running: where a search chose a precision for each block.
    problems: what `inspect` finds wrong with the source.
    evaluation_sha256: of the inputs that its variants were judged on; None where nothing was, and
        in files of earlier versions.
    """

    name: str
    role: str = "generic"
    path: str | None = None
    source_bytes: int | None = None
    source_sha256: str | None = None
    weights: str = "unknown"
    made_here: bool | None = None
    lengths: Lengths | None = None
    family: Family | None = None
    problems: tuple[Problem, ...] = ()
    failed_steps: tuple[FailedStep, ...] = ()
    profiles: dict[str, Profile] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    coverage: BothCoverages = field(default_factory=BothCoverages)
    evaluation_sha256: str | None = None
    blocks: tuple[Block, ...] = ()
    free_running: FreeRunning | None = None

    @property
    def is_decoder(self) -> bool:
        """Whether audio metrics stand in for token agreement."""
        return self.role == Role.CODEC_DECODER

    @property
    def is_beats(self) -> bool:
        """Whether agreement counts beats, not tokens."""
        return self.role == Role.BEATS


@dataclass(frozen=True)
class Tool:
    """What wrote the file."""

    name: str | None = None
    version: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Dropped:
    """A file or clip that was not used, and why."""

    name: str
    reason: str = "no reason given"


@dataclass(frozen=True)
class Skipped:
    """A model that could not be opened, and why."""

    path: str
    reason: str = "no reason given"


@dataclass(frozen=True)
class Audio:
    """The audio that calibration and evaluation saw, in seconds."""

    name: str | None = None
    sha256: str | None = None
    calibration_s: float | None = None
    evaluation_s: float | None = None
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetOfParts:
    """A mixture of recipes worth deploying: which recipe serves which role."""

    name: str
    parts: dict[str, str] = field(default_factory=dict)
    bytes: int | None = None
    token_agreement: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Chain:
    """Time of the whole chain for 10 s of music, calculated from measured medians."""

    name: str
    target: str
    s_per_10s_of_music: float | None = None
    assumptions: tuple[str, ...] = ()
    noisy: bool = False
    kind: str = "derived"


@dataclass(frozen=True)
class Sound:
    """A sound to listen to."""

    path: str
    name: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Step:
    """How long a step of the run took."""

    name: str
    took_s: float


GradeName = Literal["faithful", "harmless"]
"""How much a variant may cost: docs/method.md says what each means."""

NOT_CLAIMED = (
    "that nobody can hear it",
    "anything about other music, temperatures or lengths",
)
"""What no grade says, for wherever one is named."""


@dataclass(frozen=True)
class PassedOver:
    """A variant that a target does not get, and why."""

    model: str
    recipe: str
    reason: str


@dataclass(frozen=True)
class DecidedSet:
    """What to ship: a recipe by model.

    time_ratio, time_ratio_high: of the parts together against FP32's, and the upper end of its
        interval; None where the target was not measured.
    noisy: whether a time that it stands on is marked noisy.
    song: what it plays beside FP32 (`run --song`); None where that was not asked for.
    """

    parts: dict[str, str]
    bytes: int
    time_ratio: float | None = None
    time_ratio_high: float | None = None
    noisy: bool = False
    song: SetSong | None = None


@dataclass(frozen=True)
class Decision:
    """The one answer for a target: the smallest set within the grade that is no slower than FP32.

    grade: that was asked for, or bounds in words.
    smallest, fastest: of the sets that hold it; `fastest` is None where nothing was measured.
    reasons: a sentence each, for a person.
    unheld: the models of which no variant holds the grade: FP16 is in their place, or FP32.
    """

    grade: str
    smallest: DecidedSet | None = None
    fastest: DecidedSet | None = None
    reasons: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    unheld: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decided:
    """What was decided for models that ship with a package.

    created: when their run was, UTC.
    cpu: of the machine that measured.
    """

    created: str
    cpu: str
    decision: dict[str, Decision]


@dataclass(frozen=True)
class Results:
    """All that a run found.

    imported: what `vampbench import` wrote beside the models.
    pending: the models that the run has not come to yet; empty where it came to its end.
    song_prompts: what `run --song` was played from, by length; empty where it was not asked for.
    decision: what to ship, by target; empty in files of earlier versions.
    """

    tool: Tool = field(default_factory=Tool)
    created: str | None = None
    host: Host | None = None
    audio_set: Audio = field(default_factory=Audio)
    models: tuple[Model, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    source_bytes: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    sets: tuple[SetOfParts, ...] = ()
    chains: tuple[Chain, ...] = ()
    audio: tuple[Sound | str, ...] = ()
    imported: ImportRecord | None = None
    pending: tuple[str, ...] = ()
    song_prompts: tuple[SongPrompts, ...] = ()
    decision: dict[str, Decision] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
