"""The table of totals: before, then after per recipe and per set."""

from __future__ import annotations

from markupsafe import Markup

from profiles.full_size import full_size_total_bytes, is_whole_vampnet
from profiles.report.charts.marks import Mark
from profiles.report.charts.svg import element, rectangle
from profiles.report.tables.cells import Cell, absent, fact, measured, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.choices import (
    GOAL_BYTES,
    GOAL_TEXT,
    Choice,
    counted,
    is_small,
    source_bytes,
)
from profiles.report.views.units import (
    agreement_text,
    bytes_text,
    db_text,
    percent_text,
    ratio_text,
    seconds_text,
)
from vampnet_models.records.results import Results


def choice_table(run: Results, choices: tuple[Choice, ...], marks: dict[str, Mark]) -> Table:
    """Before, then after per recipe and per set."""
    total = source_bytes(run)
    top = max((c.bytes or 0.0 for c in choices), default=0.0)
    top = max(top, total or 0.0)
    vampnet = is_whole_vampnet(run)
    bars = "Relative size, goal marked" if vampnet and top > GOAL_BYTES else "Relative size"
    small = any(is_small(m) for m in run.models)
    goal = ("At full size, seeded weights" if small else f"Against the {GOAL_TEXT} goal",)
    kept = ("Grade", "Lowest agreement", "CPU time to FP32")
    music = ("10 s of music on CPU",) if any(c.target == "cpu" for c in run.chains) else ()
    columns = ("Size", bars, "Of source", *(goal if vampnet else ()), *kept, *music)
    source = Row(
        "FP32 source",
        None,
        "source",
        "what came in",
        (
            fact(total, bytes_text),
            Cell(_bar(total, top, goal=vampnet), "fact"),
            fact(1.0 if total else None, percent_text),
            *_goal(run, total, full_size_total_bytes()),
            words("the reference"),
            words("the reference"),
            fact(1.0, ratio_text) if any("cpu" in m.profiles for m in run.models) else absent(),
            *_music(run, "source"),
        ),
    )
    return Table(columns, (source, *(_choice_row(run, c, marks, top) for c in choices)))


def _choice_row(run: Results, choice: Choice, marks: dict[str, Mark], top: float) -> Row:
    n = len(counted(run))
    made = n - len(choice.missing)
    if choice.missing:
        reason = f"{made} of {n} models; without {', '.join(choice.missing)}"
    elif choice.missed:
        reason = f"below the asked agreement: {', '.join(choice.missed)}"
    else:
        reason = choice.parts
    share = choice.share
    return Row(
        choice.name,
        marks[choice.name].icon if choice.kind == "recipe" else None,
        "incomplete" if choice.missing else "missed" if choice.missed else "ok",
        reason,
        (
            fact(choice.bytes, bytes_text),
            Cell(_bar(choice.bytes, top, is_whole_vampnet(run), not choice.missing), "fact"),
            absent("incomplete") if choice.missing else fact(share, percent_text),
            *_goal(run, None if choice.missing else choice.bytes, choice.full_size_bytes),
            _held(choice),
            _agreement(choice),
            absent("incomplete")
            if choice.missing
            else measured(choice.cpu_ratio, ratio_text, _span(choice)),
            *_music(run, choice.name),
        ),
    )


def _held(choice: Choice) -> Cell:
    """The grade of all its models together, or which of them hold none."""
    if choice.missing:
        return absent("incomplete")
    if choice.held is None:
        return absent("not judged")
    if choice.held.grade is None:
        return Cell("none", "fact", "", choice.held.without)
    return words(choice.held.grade)


def _agreement(choice: Choice) -> Cell:
    """How near it comes to FP32's own answers: tokens of the worst model, sound of a decoder."""
    sound = choice.si_sdr_db
    if choice.worst_agreement is None:
        return measured(sound, db_text, ("SI-SDR",))
    lines: tuple[str, ...] = (choice.worst_model,) if choice.worst_model else ()
    if choice.within_floor:
        lines += ("within the floor",)
    if sound is not None:
        lines += (f"decoder {db_text(sound)} SI-SDR",)
    return measured(choice.worst_agreement, agreement_text, lines)


def _span(choice: Choice) -> tuple[str, ...]:
    noisy = ("noisy",) if choice.noisy else ()
    if choice.cpu_interval is None:
        return noisy
    return (f"{choice.cpu_interval[0]:.2f}\u2013{choice.cpu_interval[1]:.2f}", *noisy)


def _music(run: Results, name: str) -> tuple[Cell, ...]:
    """The chain's time on this CPU; no cell where no chain was measured at all."""
    found = [c for c in run.chains if c.target == "cpu"]
    if not found:
        return ()
    chain = next((c for c in found if c.name == name), None)
    if chain is None:
        return (measured(None, seconds_text),)
    noisy = ("noisy",) if chain.noisy else ()
    return (measured(chain.s_per_10s_of_music, seconds_text, noisy),)


def _goal(run: Results, size: float | None, full_size: int | None) -> tuple[Cell, ...]:
    """A size held against the goal of VampNet's four; no cell of other models."""
    if not is_whole_vampnet(run):
        return ()
    if size is None:
        return (absent("incomplete"),)
    if any(is_small(m) for m in run.models):
        if full_size is None:
            return (absent(),)
        return (fact(full_size, bytes_text),)
    return (fact(size, _against),)


def _against(size: float) -> str:
    gap = size - GOAL_BYTES
    return f"{bytes_text(abs(gap))} {'over' if gap > 0 else 'under'}"


def _bar(size: float | None, top: float, goal: bool, whole: bool = True) -> Markup:
    """A bar of the size relative to the largest; a tick marks the goal, if any, in reach."""
    if not size or not top:
        return Markup("")
    parts = [rectangle(0, 0, 100 * size / top, 10, "bar" if whole else "bar part")]
    if goal and top > GOAL_BYTES:
        parts.append(rectangle(100 * GOAL_BYTES / top - 0.5, -2, 1, 14, "bar-goal"))
    return element(
        "svg",
        {"class": "bar-chart", "viewBox": "0 0 100 10", "preserveAspectRatio": "none"}
        | {"aria-hidden": "true"},
        *parts,
    )
