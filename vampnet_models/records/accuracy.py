"""What a comparison of a variant with its reference found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CodebookShare:
    """Agreement of one codebook, its 95 % interval; `given_earlier` only for encoders."""

    codebook: int
    agreement: float | None
    floor: float | None
    given_earlier: float | None
    n_positions: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class RatioShare:
    """Agreement of the states whose mask ratio lies in the tenth that ends at `mask_ratio`."""

    mask_ratio: float
    agreement: float | None
    floor: float | None
    n_positions: int


@dataclass(frozen=True)
class StepShare:
    """Agreement of the states after `step` sampling steps, counted from 0."""

    step: int
    agreement: float | None
    floor: float | None
    n_positions: int


@dataclass(frozen=True)
class NearTies:
    """Positions where the reference itself hardly prefers its choice."""

    epsilon: float
    share: float
    agreement_excluding: float | None


@dataclass(frozen=True)
class BeatShare:
    """Beats or downbeats that both have: `recall` of the reference's, `precision` of its own."""

    kind: str
    recall: float | None
    precision: float | None
    n_reference: int
    n_variant: int


_LOST_DB = 1.0
"""SQNR from which an answer holds something: at 0 dB silence would be as near."""

_SURE_DB = 20.0
"""SQNR of FP32 against FP32 below which an answer is too uncertain to be called lost."""


@dataclass(frozen=True)
class OutputShare:
    """How well one output of a generic model is kept.

    agreement, floor, interval: of an output that chooses or is equal; None for a number.
    n_positions: that were compared so.
    snr_db: SQNR over all samples together: signal power over error power; None unless it is float.
    floor_snr_db: that of FP32 against FP32.
    worst_snr_db, worst_sample: of the worst sample that is no silence, and which, from 0.
    """

    name: str
    agreement: float | None
    floor: float | None
    interval: tuple[float, float] | None
    n_positions: int
    snr_db: float | None
    floor_snr_db: float | None
    worst_snr_db: float | None
    worst_sample: int | None

    @property
    def is_lost(self) -> bool:
        """Whether the error is about as large as the answer, which FP32 itself is sure of."""
        if self.snr_db is None or self.floor_snr_db is None:
            return False
        return self.snr_db < _LOST_DB and self.floor_snr_db >= _SURE_DB


CANNOT_TELL = "cannot tell"
"""How the sentence begins that says what is missing."""

ENOUGH_RECORDINGS, ENOUGH_CLIPS = 5, 20
"""Of fewer recordings or clips an interval tells nothing of other music: it cannot tell."""


@dataclass(frozen=True)
class Figure:
    """A measure of a variant, with the interval that other recordings would put it in.

    value: None where nothing could be compared.
    low, high: the ends of the 95 % interval, by recordings and clips within them.
    floor: the measure of FP32 with one thread and no graph optimization.
    n: the positions, or samples of sound, that were compared.
    n_clips: of these recordings that they lie in.
    heard_s: seconds of sound that they lie in; None where no rate tells it.
    per_recording, per_codebook, per_mask_ratio: the value of each by its name, its number from 0,
        and the end of its tenth.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    n: int = 0
    n_clips: int = 0
    heard_s: float | None = None
    per_recording: dict[str, float] = field(default_factory=dict)
    per_codebook: dict[str, float] = field(default_factory=dict)
    per_mask_ratio: dict[str, float] = field(default_factory=dict)

    @property
    def can_tell(self) -> bool:
        """Whether there are recordings and clips enough for the interval to mean something."""
        return len(self.per_recording) >= ENOUGH_RECORDINGS and self.n_clips >= ENOUGH_CLIPS

    @property
    def cannot_tell(self) -> str | None:
        """What there is too little of, and how much more is needed; None where it can tell."""
        if self.can_tell:
            return None
        recordings, clips = len(self.per_recording), self.n_clips
        more = (
            _counted(ENOUGH_RECORDINGS - recordings, "recording"),
            _counted(ENOUGH_CLIPS - clips, "clip"),
        )
        there = " and ".join(
            _counted(n, what) or f"no {what}"
            for n, what in ((recordings, "recording"), (clips, "clip"))
        )
        return f"{CANNOT_TELL}: {there}; it needs {' and '.join(filter(None, more))} more"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}" if n > 0 else ""


@dataclass(frozen=True)
class AccuracyReport:
    """All that was found; fields that do not apply to the role are None.

    Of a generic model, `token_agreement` (with its floor, interval and positions) and `snr_db` are
    those of its worst output each.
    sampled_agreement: share of positions where both draw the same token with the same noise.
    cost_nats: of a transformer, what it loses on the real codes, nats per token.
    cost_log_mel_db, cost_stft: of encoder and decoder, how much farther from the recording the
        sound is than FP32's own: log-mel distance in dB, multi-resolution STFT distance.
    cost_si_sdr_db: the SI-SDR that the sound loses, where FP32's is high enough to mean something.
    same_song: of a transformer alone, from FP32's codes: the share of final tokens that are those
        of FP32 with the same seed (`run --song`). Its n counts tokens, its clips are the pieces
        that were played from.
    same_song_long: the same of longer prompts, where clips allow them.
    """

    token_agreement: float | None = None
    floor: float | None = None
    interval: tuple[float, float] | None = None
    n_positions: int | None = 0
    per_codebook: tuple[CodebookShare, ...] = ()
    per_mask_ratio: tuple[RatioShare, ...] = ()
    per_step: tuple[StepShare, ...] = ()
    per_beat_kind: tuple[BeatShare, ...] = ()
    per_output: tuple[OutputShare, ...] = ()
    near_ties: NearTies | None = None
    logits_kl: float | None = None
    top5_containment: float | None = None
    si_sdr_db: float | None = None
    floor_si_sdr_db: float | None = None
    worst_si_sdr_db: float | None = None
    snr_db: float | None = None
    log_mel_db: float | None = None
    sampled_agreement: Figure | None = None
    cost_nats: Figure | None = None
    cost_log_mel_db: Figure | None = None
    cost_stft: Figure | None = None
    cost_si_sdr_db: Figure | None = None
    same_song: Figure | None = None
    same_song_long: Figure | None = None
    clipped: int | None = None
    nonfinite: int | None = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def cost(self) -> tuple[Figure, str] | None:
        """The cost that is bounded, and its unit; None where nothing is known of it."""
        if self.cost_nats is not None:
            return self.cost_nats, "nats per token"
        return None if self.cost_log_mel_db is None else (self.cost_log_mel_db, "dB log-mel")

    @property
    def numbers_db(self) -> float | None:
        """SQNR of the worst output that is a number, judged by that alone; None without one."""
        levels = (each.snr_db for each in self.per_output if each.agreement is None)
        return min((level for level in levels if level is not None), default=None)


@dataclass(frozen=True)
class FreeRun:
    """A model's own trajectories against the reference's, from the same prompts and seeds.

    kept: the share of generated tokens that end the same, 0 to 1; `per_step` after each step.
    first_divergence: the 0-based step of the first difference per prompt; None: there is none.
    undiverged: how many prompts ended without any difference.
    """

    kept: float
    per_step: tuple[float, ...]
    first_divergence: tuple[int | None, ...]
    n_tokens: int
    undiverged: int


@dataclass(frozen=True)
class FreeRunning:
    """The variant's run, and that of FP32 with other threads and optimizations: the floor."""

    variant: FreeRun
    floor: FreeRun
