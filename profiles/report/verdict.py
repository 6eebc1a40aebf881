"""The first thing on the page: what came out, in sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace

from profiles.full_size import full_size_bytes, full_size_total_bytes, is_whole_vampnet
from profiles.report.views.choices import GOAL_BYTES, GOAL_TEXT, is_small, source_bytes
from profiles.report.views.decided import (
    first_decision,
    full_size_of,
    parts_text,
    sets_by_targets,
    size_text,
    time_text,
)
from profiles.report.views.read import not_ended, undecided
from profiles.report.views.target_lines import target_line
from profiles.report.views.units import bytes_text, plural
from profiles.targets.order import find_target, profilers
from vampnet_models.records.results import (
    NOT_CLAIMED,
    UNKNOWN_RATE,
    UNKNOWN_ROLE,
    DecidedSet,
    Decision,
    Model,
    Results,
)
from vampnet_models.spec import CHAIN_ROLES


@dataclass(frozen=True)
class Notice:
    """A caution that belongs to the verdict; `tone` is `note` or `alarm`."""

    tone: str
    title: str
    text: str


@dataclass(frozen=True)
class Tile:
    """One answer: the question, the choice, its number, what it costs."""

    question: str
    name: str
    figure: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """Headline, families, summary, cautions, answers, a sentence per target, reasons."""

    headline: str
    families: tuple[str, ...]
    summary: str
    notices: tuple[Notice, ...]
    tiles: tuple[Tile, ...]
    targets: tuple[tuple[str, str, str], ...]
    reasons: tuple[str, ...]


def verdict_of(run: Results) -> Verdict:
    """What came in, and what the run decided to ship: nothing is chosen here."""
    total, decided = source_bytes(run), first_decision(run)
    if not run.models:
        title, summary = "No model in this run", "The results list no model."
    elif total is None:
        title = "The sizes were not recorded"
        summary = "Without them there is no before and after; the tables show what is there."
    elif decided is None:
        title = f"{bytes_text(total)} in FP32, nothing decided"
        summary = undecided(run) or "Nothing was decided."
    else:
        target, decision, found = decided
        noisy = " (noisy times)" if found.noisy else ""
        title = f"{bytes_text(total)} in FP32, {bytes_text(found.bytes)} to ship on {target}{noisy}"
        summary = _summary(run, target, decision, found)
    return Verdict(
        headline=title,
        families=tuple(dict.fromkeys(m.family.described for m in run.models if m.family)),
        summary=summary,
        notices=tuple(_notices(run)),
        tiles=tuple(_tiles(run)),
        targets=tuple(target_line(run, each.name) for each in profilers()),
        reasons=() if decided is None else _reasons(*decided[:2]),
    )


def _summary(run: Results, target: str, decision: Decision, found: DecidedSet) -> str:
    time = time_text(found)
    what = "the smallest set that is no slower than FP32" if time else "the smallest set"
    unheld = [name for name in decision.unheld if name in found.parts]
    apart = f", which is not shown of {', '.join(unheld)}" if unheld else ""
    held = f"{decision.grade}{apart}" if len(unheld) < len(found.parts) else "of no grade"
    return (
        f"{_together(len(found.parts))}, on {target}: {parts_text(found)}. That is {what}, "
        f"{held}: {size_text(run, found)}{time and f', {time}'}."
        f"{_goal_sentence(run, found)}"
    )


def _reasons(target: str, decision: Decision) -> tuple[str, ...]:
    over = (f"not {each.model} {each.recipe}: {each.reason}" for each in decision.passed_over)
    claimed = f"not claimed: {'; '.join(NOT_CLAIMED)}"
    return (*(f"{target}: {each}" for each in decision.reasons), *over, claimed)


def _together(n: int) -> str:
    return "The one model" if n == 1 else f"All {plural(n, 'model')} together"


def _goal_sentence(run: Results, found: DecidedSet) -> str:
    if not is_whole_vampnet(run):
        return ""
    if any(is_small(m) for m in run.models):
        at_full_size = full_size_of(run, found)
        about = f" The project's first goal, {GOAL_TEXT}, is about the full-size models"
        if at_full_size is None:
            return f"{about}."
        side = "under" if at_full_size <= GOAL_BYTES else "over"
        return (
            f"{about}: written in the same recipes, with seeded weights, they take "
            f"{bytes_text(at_full_size)}, {side} it."
        )
    gap = found.bytes - GOAL_BYTES
    return f" That is {bytes_text(abs(gap))} {'over' if gap > 0 else 'under'} the {GOAL_TEXT} goal."


def _notices(run: Results) -> list[Notice]:
    made: list[Notice] = []
    if (stopped := not_ended(run)) is not None:
        made.append(Notice("alarm", "A part of a run", stopped))
    if run.models and (why := undecided(run)) is not None:
        made.append(Notice("alarm", "No decision", why))
    unheld = {name: None for each in run.decision.values() for name in each.unheld}
    if unheld:
        text = f"of {', '.join(unheld)} nothing is shown to hold it: FP16 is there, or FP32"
        made.append(Notice("alarm", "A grade that nothing reaches", text))
    seeded = [m.name for m in run.models if m.weights == "seeded"]
    if seeded:
        made.append(
            Notice(
                "alarm",
                "seeded weights: not an accuracy claim",
                f"{', '.join(seeded)} hold random weights. Sizes and times are real; what they "
                "keep of a random reference says nothing about music.",
            )
        )
    small = [m for m in run.models if is_small(m)]
    if small:
        made.append(Notice("note", "These are small models", _small_text(small)))
    unknown = [m.name for m in run.models if m.weights == "unknown"]
    if unknown:
        made.append(
            Notice(
                "note",
                "Weights of unknown origin",
                f"{', '.join(unknown)}: nothing in the file says whether it was trained.",
            )
        )
    # Seeded weights have a notice of their own.
    problems = [(m.name, p) for m in run.models for p in m.problems]
    generic = [name for name, p in problems if p.kind == UNKNOWN_ROLE]
    if generic:
        text = "none of a chain that is known: measured by what goes in and comes out"
        made.append(Notice("note", "Models of another kind", f"{', '.join(generic)}: {text}"))
    unrated = [name for name, p in problems if p.kind == UNKNOWN_RATE]
    if unrated:
        text = "no seconds of sound and no real-time factors are told"
        made.append(Notice("note", "Unknown sample rate", f"{', '.join(unrated)}: {text}"))
    told_apart = ("seeded-weights", UNKNOWN_ROLE, UNKNOWN_RATE)
    wrong = [f"{name}: {p.text}" for name, p in problems if p.kind not in told_apart]
    if wrong:
        made.append(Notice("alarm", "Problems of the source models", "; ".join(wrong)))
    variants = [(m, v) for m in run.models for v in m.variants]
    missed = [f"{m.name} {v.recipe}" for m, v in variants if v.status == "missed"]
    failed = [f"{m.name} {v.recipe}" for m, v in variants if v.status == "failed"]
    if missed:
        made.append(Notice("alarm", f"{plural(len(missed), 'promise')} missed", ", ".join(missed)))
    if run.skipped:
        reasons = "; ".join(each.reason for each in run.skipped)
        made.append(
            Notice("alarm", f"{plural(len(run.skipped), 'file')} could not be read", reasons)
        )
    if failed:
        made.append(Notice("alarm", f"{plural(len(failed), 'variant')} failed", ", ".join(failed)))
    steps = [f"{m.name}: {s.step}: {s.reason}" for m in run.models for s in m.failed_steps]
    if steps:
        made.append(Notice("alarm", f"{plural(len(steps), 'step')} failed", "; ".join(steps)))
    return made


def _small_text(small: list[Model]) -> str:
    named = ", ".join(f"{m.name} {_size(m.source_bytes)}" for m in small)
    full = {role.value.replace("codec-", ""): full_size_bytes(role) for role in CHAIN_ROLES}
    weights = ", ".join(f"{role} {bytes_text(size)}" for role, size in full.items() if size)
    return (
        f"{named}. The full-size ones weigh: {weights}; "
        f"{bytes_text(full_size_total_bytes())} together."
    )


def _tiles(run: Results) -> list[Tile]:
    made = []
    for target, each in run.decision.items():
        small, fast = each.smallest, each.fastest
        if small is not None and small.time_ratio is not None:
            made.append(_tile(run, f"To ship on {target}: the smallest that is no slower", small))
        if fast is not None and (small is None or fast.parts != small.parts):
            made.append(_tile(run, f"Fastest on {target}", fast))
    for targets, found in sets_by_targets(run):
        what = f"To ship on {', '.join(targets)}: the smallest that it takes, not measured there"
        whys = (find_target(name).why for name in targets)
        tile = _tile(run, what, found)
        made.append(replace(tile, lines=(*tile.lines, *dict.fromkeys(filter(None, whys)))))
    return made


def _tile(run: Results, question: str, found: DecidedSet) -> Tile:
    lines = tuple(filter(None, (size_text(run, found), time_text(found))))
    return Tile(question, parts_text(found), bytes_text(found.bytes), lines)


def _size(value: float | None) -> str:
    return "unknown size" if value is None else bytes_text(value)
