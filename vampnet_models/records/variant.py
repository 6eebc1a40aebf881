"""How a variant was made, from what, and what it holds: the contents of variant.json."""

from __future__ import annotations

from dataclasses import dataclass, field

from vampnet_models.records.runtime_facts import RuntimeFacts


@dataclass(frozen=True)
class Unmatched:
    """A candidate that a rule left alone, and why."""

    rule: str
    node: str
    reason: str


@dataclass(frozen=True)
class FloatNode:
    """A node left in float, and why."""

    node: str
    op_type: str
    reason: str


@dataclass(frozen=True)
class MixedNode:
    """A node that was converted to another precision than the rest, and why."""

    node: str
    op_type: str
    precision: str
    reason: str


@dataclass(frozen=True)
class Probe:
    """What came of a probe: the largest relative error (RMS) of the outputs that were compared.

    `not_probed` is the reason where the model was not run.
    """

    feed: str = "none"
    error: float | None = None
    bound: float | None = None
    not_probed: str | None = None


@dataclass(frozen=True)
class SourceFacts:
    """The model that a variant was made from."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class FeedCoverage:
    """What a feed set exercises.

    `mask_ratios[i]` counts the feeds with a ratio in (i/10, (i+1)/10]; `prompts` counts feeds
    by kind; `entries_seen[c]` is the share of codebook c's entries that occur unmasked. `lengths`
    counts feeds by the length of their last axis (frames or samples), `classes` by kind of sound,
    `codes_from` by the model that their codes come from.
    """

    n_feeds: int
    mask_ratios: tuple[int, ...]
    prompts: dict[str, int]
    entries_seen: tuple[float, ...]
    lengths: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    codes_from: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CalibrationFacts:
    """The feeds that a variant was calibrated on, what they cover, and who chose the ranges.

    `settings` are the recipe's own, in words. `samples_sha256` are those of a user's own feeds, one
    each; of recordings there are none.
    """

    sha256: str
    n_feeds: int
    audio: str
    upstream: str = ""
    observer: str = "minmax"
    coverage: FeedCoverage | None = None
    settings: dict[str, str] = field(default_factory=dict)
    samples_sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class VariantRecord:
    """The contents of variant.json.

    `fusions` counts what each rule rewrote, `unmatched` lists the candidates that it left.
    `precision` counts weight-carrying nodes by precision; `mixed_nodes` got another precision than
    the rest, `float_nodes` none, each with its reason. `custom_operators` need a library;
    without it the model `portable`, beside this one, is opened. `runtime_checked` says whether the
    runtime's own optimized graph was read back; `runtime` is what it holds. `probe` is what came of
    one feed through the source and the variant. `saturates` says whether the runtime cuts its sums
    of 8-bit products on x86 without VNNI.
    """

    recipe: str
    role: str
    model: str
    bytes: int
    sha256: str
    source: SourceFacts
    calibration: CalibrationFacts | None
    versions: dict[str, str]
    fusions: dict[str, int]
    unmatched: tuple[Unmatched, ...]
    precision: dict[str, int]
    float_nodes: tuple[FloatNode, ...]
    mixed_nodes: tuple[MixedNode, ...] = ()
    warnings: tuple[str, ...] = ()
    custom_operators: tuple[str, ...] = ()
    portable: str | None = None
    runtime_checked: bool = False
    runtime: RuntimeFacts | None = None
    probe: Probe | None = None
    saturates: bool = False
