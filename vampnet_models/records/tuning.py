"""The contents of tune.json: what a search was asked for, what it found, and what it dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vampnet_models.records.accuracy import AccuracyReport, Figure, FreeRunning
from vampnet_models.records.results import Block, GradeName

Prefer = Literal["smallest", "fastest", "truest"]
Near = Literal["keeps-tokens", "keeps-costs", "keeps-size", "keeps-time", "truest"]
"""Which bound a set that comes near to a budget keeps: the smallest that keeps the tokens, or the
grade or costs, or the truest that keeps the size, the time, or nothing."""

VerdictCode = Literal["none", "tuned-alone", "uniform", "tuned-better"]
"""No set meets the budget, no uniform one does, a uniform one is as good, the tuned is better."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Bounds on a set of models, and what to seek within them; a bound of None bounds nothing.

    min_agreement: least share of equal tokens of each model, 0 to 1.
    min_first_agreement: least share of equal tokens of an encoder's first four codebooks.
    min_si_sdr_db: least SI-SDR of the decoder's sound against FP32's; least SQNR of the outputs of
        a generic model that are numbers.
    max_bytes: most bytes of all models together.
    max_latency: most time of all models together, as a multiple of FP32's.
    prefer: what is best among the sets that keep to the bounds.
    grade: holds for every model; None, the default, where bounds stand in its place.
    min_sampled: least lower end of a transformer's sampled agreement, 0 to 1.
    max_cost_nats: most upper end of a transformer's cost, nats per token.
    max_cost_db: most upper end of an encoder's or decoder's cost, dB of log-mel distance. Where one
        of these three is given without a grade, `harmless` holds for models that none is about.
    rounds: timed runs of each candidate; 10 by default.
    threads: of the runtime; 0, the default, leaves it the choice.
    """

    min_agreement: float | None
    min_first_agreement: float | None = None
    min_si_sdr_db: float | None
    max_bytes: int | None
    max_latency: float | None
    prefer: Prefer
    grade: GradeName | None = None
    min_sampled: float | None = None
    max_cost_nats: float | None = None
    max_cost_db: float | None = None
    rounds: int = 10
    threads: int = 0


@dataclass(frozen=True)
class Candidate:
    """A variant of one model that was built, measured and timed.

    agreement: share of equal tokens (0 to 1); None for models judged by sound.
    si_sdr_db: of the sound against FP32's, or the SQNR of a generic model's worst number; None for
        models judged by tokens.
    loss: 1 - agreement, or noise over signal; where a grade or costs were asked for, what is lost
        as a multiple of what is allowed.
    time_ratio: the median time against FP32's, which was `reference_s` in the same run.
    uniform: one recipe for the whole model.
    first_agreement: an encoder's over its first four codebooks, those that coarse predicts.
    sampled_agreement, cost_nats, cost_log_mel_db: those of its accuracy; None where they do not
        apply, or a search did not ask for them.
    grades: those that it is shown to hold, on held-out data alone; else none, the default.
    """

    model: str
    recipe: str
    bytes: int
    loss: float
    agreement: float | None
    si_sdr_db: float | None
    time_ratio: float
    reference_s: float
    uniform: bool
    first_agreement: float | None = None
    sampled_agreement: Figure | None = None
    cost_nats: Figure | None = None
    cost_log_mel_db: Figure | None = None
    grades: tuple[GradeName, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CandidateSet:
    """One candidate per model: sizes and losses are sums, all other figures the worst model's.

    latency: of all models run once, as a multiple of FP32's.
    sampled_agreement: of the lowest lower end; None, the default, where no model has one.
    cost_nats, cost_log_mel_db: of the highest upper end; likewise.
    grades: that every model is shown to hold.
    """

    bytes: int
    agreement: float | None
    first_agreement: float | None
    si_sdr_db: float | None
    latency: float
    loss: float
    parts: tuple[Candidate, ...]
    sampled_agreement: Figure | None = None
    cost_nats: Figure | None = None
    cost_log_mel_db: Figure | None = None
    grades: tuple[GradeName, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UniformSet(CandidateSet):
    """The best set of one recipe for all models."""

    recipe: str


@dataclass(frozen=True, kw_only=True)
class NearSet(CandidateSet):
    """What comes nearest to a budget that nothing meets, where one bound alone is kept."""

    keeps: Near


@dataclass(frozen=True)
class Verdict:
    """Whether searching was worth it: the chosen set beside the best recipe for all models.

    recipe: the best uniform one; None where none meets the budget.
    chosen, uniform: in `measure`, which is what `prefer` seeks: bytes, a latency as a multiple of
    FP32's, or a loss. None where there is no such set.
    text: that in a sentence.
    """

    code: VerdictCode
    prefer: Prefer
    recipe: str | None
    chosen: float | None
    uniform: float | None
    measure: Literal["bytes", "latency", "loss"]
    text: str


@dataclass(frozen=True)
class Missed:
    """A bound, its value, and what was found where it was judged."""

    bound: str
    least: float
    found: float


@dataclass(frozen=True)
class Reverted:
    """A candidate that was dropped on held-out data, for it missed bounds or could not be shown to
    hold the grade or costs that were asked for; `text` says it.

    missed: the bounds on tokens and sound alone.
    """

    model: str
    recipe: str
    agreement: float | None
    first_agreement: float | None
    si_sdr_db: float | None
    missed: tuple[Missed, ...]
    text: str


@dataclass(frozen=True)
class ChosenModel:
    """What one model of the chosen set got, block by block, judged on held-out data.

    free_running: of transformers with logits alone.
    grades: that it is shown to hold.
    judged: the sentence that its figures give; None where no grade and no cost was asked for.
    """

    name: str
    role: str
    recipe: str
    bytes: int
    accuracy: AccuracyReport
    free_running: FreeRunning | None
    blocks: tuple[Block, ...]
    grades: tuple[GradeName, ...] = ()
    judged: str | None = None


@dataclass(frozen=True)
class Tuning:
    """The contents of tune.json.

    command: what the user typed.
    wish: what was asked for.
    target: where the set is to run and candidates are timed: cpu, cpu-native (the same with the
        operator library) or cuda.
    met: whether a set keeps to it; else `chosen` is None and `nearest` is not empty.
    chosen, uniform: the best set, and the best of one recipe, on held-out data.
    smallest, fastest, front, nearest: on the search's own states.
    reverted: what was chosen first, and did not hold on held-out data.
    noisy: a time was measured while the machine was busy.
    seeded: a model has weights that nothing trained.
    models: of the chosen set; empty without one.
    """

    command: str
    wish: Asked
    target: str
    met: bool
    chosen: CandidateSet | None
    uniform: UniformSet | None
    verdict: Verdict
    reverted: tuple[Reverted, ...]
    noisy: bool
    smallest: CandidateSet
    fastest: CandidateSet
    front: tuple[CandidateSet, ...]
    nearest: tuple[NearSet, ...]
    seeded: bool
    models: tuple[ChosenModel, ...]
