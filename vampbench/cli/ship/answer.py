"""The one answer, as commands tell it: what to ship on each target, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from profiles.report.views.decided import songs_by_targets
from profiles.sets import counted
from vampbench.api.ship.decide import unheld_lines
from vampbench.cli.console import Console
from vampbench.cli.ship.summary import NOISY, of_bytes
from vampbench.cli.tables import NOTHING
from vampnet_models.records.accuracy import Figure
from vampnet_models.records.results import NOT_CLAIMED, DecidedSet, Decision, Model
from vampnet_models.records.song import SetSong
from vampnet_models.text import megabytes, percent, signed


def tell_answer(
    console: Console, models: Sequence[Model], decision: Mapping[str, Decision]
) -> None:
    """The sets of every target; the fastest one where it is another than the smallest.

    A grade that nothing reaches is a warning.
    """
    sets = [
        (named, found)
        for target, each in decision.items()
        for named, found in _sets(target, each)
        if found is not None
    ]
    names = list(dict.fromkeys(name for _, found in sets for name in found.parts))
    before = {m.name: m.source_bytes or 0 for m in models}
    rows = [
        (
            named,
            *(found.parts.get(name, NOTHING) for name in names),
            megabytes(found.bytes),
            of_bytes(found.bytes, sum(before.get(name, 0) for name in found.parts)),
            time_told(found),
        )
        for named, found in sets
    ]
    for line in unheld_lines(decision):
        console.warn(line)
    left = [m.name for m in counted(models) if m.name not in names]
    if left:
        console.warn(f"in no set: {', '.join(left)}: no variant of it could be made")
    grades = ", ".join(dict.fromkeys(each.grade for each in decision.values()))
    if all(set(names) <= set(each.unheld) for each in decision.values()):
        grades = f"FP16 or FP32, nothing is shown to hold {grades}"
    elif any(each.unheld for each in decision.values()):
        grades += ", where that is shown"
    columns = ("target", *names, "size", "of FP32", "x FP32")
    console.table(f"What to ship: {grades}", columns, rows)


def tell_songs(console: Console, decision: Mapping[str, Decision]) -> None:
    """What each decided set plays beside FP32, where that was asked for, and what that says."""
    songs = songs_by_targets(decision)
    rows = [
        (targets if number == 0 else "", *row)
        for targets, _, song in songs
        for number, row in enumerate(_song_rows(song))
    ]
    if rows:
        columns = ("set of", "measure", "found", "interval", "FP32 itself")
        console.table("What the sets play", columns, rows)
    for targets, _, song in songs:
        console.say(f"{targets}: {song.told}")


def _song_rows(song: SetSong) -> list[tuple[str, ...]]:
    """A row for each measure; beside it what other threads, or other seeds, do to FP32."""
    rows: list[tuple[str, ...]] = []
    if song.same_song is not None:
        found = song.same_song
        ends = f"{percent(found.low)} to {percent(found.high)}"
        floor = f"floor {percent(found.floor)}"
        rows.append(("same song", percent(found.value), _sure(found, ends), floor))
    pairs = [(f"nats, {s}", each, song.seed_nats.get(s)) for s, each in song.nats.items()]
    if song.log_mel_mmd is not None:
        pairs.append(("sound, MMD2", song.log_mel_mmd, song.seed_log_mel_mmd))
    for name, found, seeds in pairs:
        beside = NOTHING if seeds is None else f"seeds {_ends(seeds)}"
        rows.append((name, signed(found.value), _sure(found, _ends(found)), beside))
    return rows


def _ends(found: Figure) -> str:
    return f"{signed(found.low)} to {signed(found.high)}"


def _sure(found: Figure, ends: str) -> str:
    return ends if found.can_tell else "cannot tell"


def tell_reasons(console: Console, decision: Mapping[str, Decision]) -> None:
    """Why these sets, and what was passed over: each reason once, with what it is about."""
    said: dict[str, list[str]] = {}
    over: dict[tuple[str, str, str], list[str]] = {}
    grouped: dict[tuple[str, str], dict[str, list[str]]] = {}
    for target, each in decision.items():
        for reason in each.reasons:
            said.setdefault(reason, []).append(target)
        for other in each.passed_over:
            over.setdefault((other.model, other.recipe, other.reason), []).append(target)
    rows = [(text, ", ".join(targets)) for text, targets in said.items()]
    console.table("Why", ("reason", "for"), rows)
    for (model, recipe, reason), targets in over.items():
        named = grouped.setdefault((reason, ", ".join(targets)), {})
        named.setdefault(model, []).append(recipe)
    if grouped:
        passed = [
            ("; ".join(f"{name} {', '.join(each)}" for name, each in named.items()), *why)
            for why, named in grouped.items()
        ]
        console.table("Passed over", ("variants", "why not", "for"), passed)
    for lead, text in zip(("not claimed:", ""), NOT_CLAIMED, strict=True):
        console.say(f"{lead:<12} {text}")


def time_told(found: DecidedSet) -> str:
    """A set's time as a multiple of FP32's, with its upper end."""
    if found.time_ratio is None:
        return NOTHING
    high = "" if found.time_ratio_high is None else f" (to {found.time_ratio_high:.2f})"
    return f"{NOISY if found.noisy else ''}{found.time_ratio:.2f}{high}"


def _sets(target: str, decision: Decision) -> list[tuple[str, DecidedSet | None]]:
    smallest, fastest = decision.smallest, decision.fastest
    if fastest is None or smallest is None or fastest.parts == smallest.parts:
        return [(target, smallest)]
    return [(target, smallest), (f"{target}, fastest", fastest)]
