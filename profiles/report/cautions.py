"""Everything a reader must know before believing a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from profiles.report.views.choices import choices_of
from profiles.report.views.units import bytes_text, count_text, percent_text, plural
from vampnet_models.records.profiles import Failure, Measurement, Profile
from vampnet_models.records.results import Results, Variant
from vampnet_models.records.variant import FloatNode, VariantRecord

_T = TypeVar("_T")

_FEW_POSITIONS = 5_000
"""Agreements over fewer positions than this are too coarse to compare."""

_FEW_BEATS = 100
"""A hundred beats are a minute; fewer tell no percents apart."""

_OPEN_UP_TO = 8


@dataclass(frozen=True)
class Caution:
    """A kind of warning with its lines; long ones start closed, unless they are `grave`."""

    title: str
    meaning: str
    lines: tuple[str, ...]
    grave: bool = False

    @property
    def open(self) -> bool:
        """Whether the lines show at once."""
        return self.grave or len(self.lines) <= _OPEN_UP_TO


@dataclass(frozen=True)
class LeftInFloat:
    """Nodes of one variant that the recipe left out, grouped by operator and reason.

    variant: its model and recipe.
    what: became of them: `left in float`, or `in another precision`.
    total: how many there are.
    groups: operator, reason and nodes.
    """

    variant: str
    what: str
    total: int
    groups: tuple[tuple[str, str, tuple[str, ...]], ...]


def cautions_of(run: Results) -> tuple[Caution, ...]:
    """The warnings of a run, those that change a decision first; empty kinds are left out."""
    variants = [(m, v, f"{m.name} · {v.recipe}") for m in run.models for v in m.variants]
    larger = [
        f"{name}: {bytes_text(v.bytes)}, source {bytes_text(m.source_bytes)} "
        f"({percent_text(v.bytes / m.source_bytes)})"
        for m, v, name in variants
        if v.bytes is not None and m.source_bytes and v.bytes > m.source_bytes
    ]
    few = [
        f"{name}: {count_text(v.judged.n_positions)} {'beats' if m.is_beats else 'positions'}"
        for m, v, name in variants
        if v.judged.n_positions is not None
        and v.judged.token_agreement is not None
        and v.judged.n_positions < (_FEW_BEATS if m.is_beats else _FEW_POSITIONS)
    ]
    unmatched = _folded(
        (name, f"{u.rule} at {u.node}: {u.reason}")
        for _, v, name in variants
        for u in _made(v, lambda made: made.unmatched)
    )
    made = [
        Caution("Larger than their source", "Not worth shipping for size.", tuple(larger), True),
        Caution(
            "Broken audio",
            "Samples that clip, or are no numbers.",
            tuple(_broken(_variants_of(run))),
        ),
        Caution(
            "Few positions",
            f"Agreement over fewer than {count_text(_FEW_POSITIONS)} positions (or {_FEW_BEATS} "
            "beats): widen the audio.",
            tuple(few),
        ),
        Caution(
            "While measuring",
            "Each line names the remedy.",
            _of_profiles(run, lambda p: p.warnings if isinstance(p, Measurement) else ()),
        ),
        Caution(
            "Could not be measured",
            "The file was made; running it failed.",
            _of_profiles(run, lambda p: (p.reason,) if isinstance(p, Failure) else ()),
        ),
        Caution(
            "What other targets make of it",
            "",
            _of_profiles(run, lambda p: () if isinstance(p, Failure) else p.notes),
        ),
        Caution(
            "Clips that were dropped",
            "Neither calibration nor evaluation saw them.",
            tuple(f"{d.name}: {d.reason}" for d in run.audio_set.dropped),
        ),
        Caution("About the audio", "", run.audio_set.warnings),
        Caution(
            "Made with a warning",
            "",
            _folded(
                (name, text)
                for _, v, name in variants
                for text in _made(v, lambda made: made.warnings)
            ),
        ),
        Caution(
            "About the accuracy",
            "",
            _folded((name, text) for _, v, name in variants for text in v.judged.notes),
        ),
        Caution("Sums that disagree", "Read the results file before quoting them.", _sums(run)),
        Caution(
            "Fusions that did not match",
            "Left as they came: right, and slower than they could be.",
            unmatched,
        ),
    ]
    return tuple(c for c in made if c.lines)


def left_in_float(run: Results) -> tuple[LeftInFloat, ...]:
    """Per variant: which nodes stayed in float or got another precision, and why."""
    return tuple(
        LeftInFloat(name, what, len(nodes), _grouped(nodes))
        for name, v in _variants_of(run)
        for what, nodes in (
            ("left in float", _made(v, lambda made: made.float_nodes)),
            ("in another precision", _made(v, _mixed_nodes)),
        )
        if nodes
    )


def _grouped(nodes: Sequence[FloatNode]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """By operator and reason."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        grouped.setdefault((node.op_type, node.reason), []).append(node.node)
    return tuple((op, reason, tuple(each)) for (op, reason), each in grouped.items())


def _made(variant: Variant, of: Callable[[VariantRecord], Sequence[_T]]) -> Sequence[_T]:
    """What the record of a made variant holds; nothing of one that was not made."""
    return () if variant.record is None else of(variant.record)


def _mixed_nodes(made: VariantRecord) -> tuple[FloatNode, ...]:
    """Those in another precision, which stands before the reason."""
    return tuple(
        FloatNode(node.node, node.op_type, f"{node.precision}: {node.reason}")
        for node in made.mixed_nodes
    )


def _variants_of(run: Results) -> list[tuple[str, Variant]]:
    """Every variant with a name for lists: `model · recipe`."""
    return [(f"{m.name} · {v.recipe}", v) for m in run.models for v in m.variants]


def _broken(variants: list[tuple[str, Variant]]) -> list[str]:
    lines = []
    for name, v in variants:
        if v.judged.nonfinite:
            lines.append(f"{name}: {plural(v.judged.nonfinite, 'value')} not finite")
        if v.judged.clipped:
            lines.append(f"{name}: {plural(v.judged.clipped, 'clipped sample')}")
    return lines


def _of_profiles(run: Results, texts: Callable[[Profile], Sequence[str]]) -> tuple[str, ...]:
    owners = [(f"{m.name} · FP32 source", m.profiles) for m in run.models]
    owners += [(name, v.profiles) for name, v in _variants_of(run)]
    return _folded(
        (f"{name} on {target}", text)
        for name, profiles in owners
        for target, profile in profiles.items()
        for text in texts(profile)
    )


def _folded(said: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What several owners share is said once, with the first of them and how many more."""
    owners: dict[str, list[str]] = {}
    for name, text in said:
        owners.setdefault(text, []).append(name)
    return tuple(f"{_first(names)}: {text}" for text, names in owners.items())


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {plural(len(names) - 1, 'other')}"


def _sums(run: Results) -> tuple[str, ...]:
    lines = []
    for choice in choices_of(run):
        if choice.missing or choice.bytes is None or choice.summed_bytes is None:
            continue
        if choice.bytes != choice.summed_bytes:
            lines.append(
                f"{choice.name}: {count_text(choice.bytes)} bytes stated, "
                f"{count_text(choice.summed_bytes)} bytes by its variants"
            )
    return tuple(lines)
