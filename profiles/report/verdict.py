"""The first thing on the page: what came out, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.full_size import full_size_bytes, full_size_total_bytes, is_whole_vampnet
from profiles.report.views.choices import (
    GOAL_BYTES,
    GOAL_TEXT,
    SMALLER_SHARE,
    Choice,
    closest,
    counted,
    fastest,
    headline,
    is_small,
    smallest,
    source_bytes,
)
from profiles.report.views.read import not_ended
from profiles.report.views.target_lines import target_line
from profiles.report.views.units import (
    agreement_text,
    bytes_text,
    db_text,
    percent_text,
    plural,
    ratio_text,
)
from profiles.targets.order import profilers
from vampnet_models.records.results import UNKNOWN_RATE, UNKNOWN_ROLE, Model, Results
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
    """Headline, the models' families, summary, cautions, answers, and a sentence per target."""

    headline: str
    families: tuple[str, ...]
    summary: str
    notices: tuple[Notice, ...]
    tiles: tuple[Tile, ...]
    targets: tuple[tuple[str, str, str], ...]


def verdict_of(run: Results, choices: tuple[Choice, ...]) -> Verdict:
    """Judge the run: total before, what the best choices weigh and keep."""
    total, least = source_bytes(run), headline(choices)
    if not run.models:
        title, summary = "No model in this run", "The results list no model."
    elif total is None:
        title = "The sizes were not recorded"
        summary = "Without them there is no before and after; the tables show what is there."
    elif least is None:
        title = f"{bytes_text(total)} in FP32, no recipe served all of it"
        summary = (
            "No recipe and no set served every model as asked; the reasons stand in the tables "
            "below."
        )
    else:
        title = f"{bytes_text(total)} in FP32, {_size(least.bytes)} {_rank(least, choices)}"
        summary = _summary(run, least)
    return Verdict(
        headline=title,
        families=tuple(dict.fromkeys(m.family.described for m in run.models if m.family)),
        summary=summary,
        notices=tuple(_notices(run, choices)),
        tiles=tuple(_tiles(choices)),
        targets=tuple(target_line(run, each.name) for each in profilers()),
    )


def _rank(shown: Choice, choices: tuple[Choice, ...]) -> str:
    """A smaller set that loses most tokens is no headline, and is not kept quiet about."""
    return "at the smallest" if shown == smallest(choices) else f"in {shown.name}"


def _summary(run: Results, least: Choice) -> str:
    share = least.share
    kept = ""
    if least.worst_agreement is not None:
        kind = "of the beats" if all(m.is_beats for m in run.models) else "token agreement"
        kept = (
            f", with {agreement_text(least.worst_agreement)} {kind} in its worst model "
            f"({least.worst_model})"
        )
    if least.si_sdr_db is not None:
        kept += f" and {db_text(least.si_sdr_db)} SI-SDR in the decoder"
    of = "" if share is None else f", {percent_text(share)} of the source"
    return (
        f"{_together(len(counted(run)))}: {least.name} takes "
        f"{_size(least.bytes)}{of}{kept}.{_goal_sentence(run, least)}"
    )


def _together(n: int) -> str:
    return "The one model" if n == 1 else f"All {plural(n, 'model')} together"


def _goal_sentence(run: Results, least: Choice) -> str:
    if not is_whole_vampnet(run):
        return ""
    if any(is_small(m) for m in run.models):
        if least.full_size_bytes is None:
            return f" The {GOAL_TEXT} goal is about the full-size models."
        side = "under" if least.full_size_bytes <= GOAL_BYTES else "over"
        return (
            f" The {GOAL_TEXT} goal is about the full-size models: written in the same recipes, "
            f"with seeded weights, they take {bytes_text(least.full_size_bytes)}, {side} it."
        )
    gap = (least.bytes or 0.0) - GOAL_BYTES
    return f" That is {bytes_text(abs(gap))} {'over' if gap > 0 else 'under'} the {GOAL_TEXT} goal."


def _notices(run: Results, choices: tuple[Choice, ...]) -> list[Notice]:
    made: list[Notice] = []
    if (stopped := not_ended(run)) is not None:
        made.append(Notice("alarm", "A part of a run", stopped))
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


def _tiles(choices: tuple[Choice, ...]) -> list[Tile]:
    made = []
    if (least := smallest(choices)) is not None:
        made.append(Tile("Smallest", least.name, _size(least.bytes), _kept(least)))
    if (near := closest(choices)) is not None:
        figure = agreement_text(near.worst_agreement or 0.0)
        made.append(
            Tile(
                f"Closest in {percent_text(SMALLER_SHARE)} of the size or less",
                near.name,
                figure,
                (f"lowest agreement, {near.worst_model}", *_cost(near)),
            )
        )
    if (quick := fastest(choices)) is not None:
        figure = ratio_text(quick.cpu_ratio or 0.0)
        noise = ("noisy: the machine was busy",) if quick.noisy else ()
        span = quick.cpu_interval
        between = f" ({span[0]:.2f}\u2013{span[1]:.2f})" if span else ""
        lines = (f"the FP32 time{between}, one call of each model", *_kept(quick)[-1:], *noise)
        made.append(Tile("Fastest on this CPU", quick.name, figure, lines))
    elif any(c.cpu_ratio is not None for c in choices):
        lines = ("no recipe or set for all models is faster here beyond the noise",)
        made.append(Tile("Fastest on this CPU", "FP32 source", ratio_text(1.0), lines))
    return made


def _kept(choice: Choice) -> tuple[str, ...]:
    lines: tuple[str, ...] = ()
    if choice.share is not None:
        lines += (f"{percent_text(choice.share)} of the source",)
    if choice.worst_agreement is not None:
        lines += (f"agreement {agreement_text(choice.worst_agreement)} ({choice.worst_model})",)
    return lines


def _cost(choice: Choice) -> tuple[str, ...]:
    share = "" if choice.share is None else f", {percent_text(choice.share)} of the source"
    return (f"{_size(choice.bytes)}{share}",)


def _size(value: float | None) -> str:
    return "unknown size" if value is None else bytes_text(value)
