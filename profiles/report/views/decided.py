"""What the run decided to ship, in the words of a page."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.full_size import SOURCE, full_size_bytes, is_whole_vampnet
from profiles.report.views.units import bytes_text, percent_text, ratio_text
from vampnet_models.records.results import FP32, DecidedSet, Decision, Results
from vampnet_models.records.song import SetSong


def first_decision(run: Results) -> tuple[str, Decision, DecidedSet] | None:
    """The first target with its decision and its smallest set; None where nothing was decided."""
    for target, decision in run.decision.items():
        if decision.smallest is not None:
            return target, decision, decision.smallest
    return None


def sets_by_targets(run: Results) -> list[tuple[list[str], DecidedSet]]:
    """The smallest sets without a time, each once, with the names of their targets."""
    found: dict[tuple[tuple[str, str], ...], tuple[list[str], DecidedSet]] = {}
    for target, decision in run.decision.items():
        each = decision.smallest
        if each is not None and each.time_ratio is None:
            found.setdefault(tuple(each.parts.items()), ([], each))[0].append(target)
    return list(found.values())


def songs_by_targets(decision: Mapping[str, Decision]) -> list[tuple[str, DecidedSet, SetSong]]:
    """The decided sets that were played, each once, with the names of their targets."""
    found: dict[tuple[tuple[str, str], ...], tuple[list[str], DecidedSet, SetSong]] = {}
    for target, each in decision.items():
        for decided in (each.smallest, each.fastest):
            if decided is not None and decided.song is not None:
                parts = tuple(decided.parts.items())
                targets = found.setdefault(parts, ([], decided, decided.song))[0]
                if target not in targets:
                    targets.append(target)
    return [(", ".join(targets), decided, song) for targets, decided, song in found.values()]


def parts_text(found: DecidedSet) -> str:
    """`coarse int8-dynamic, decoder fp16`, or one recipe for all."""
    recipes = set(found.parts.values())
    if len(recipes) == 1 and len(found.parts) > 1:
        return f"{recipes.pop()} for every model"
    return ", ".join(f"{model} {recipe}" for model, recipe in found.parts.items())


def size_text(run: Results, found: DecidedSet) -> str:
    """Bytes, and their share of the sources of the set's models."""
    before = sum(m.source_bytes or 0 for m in run.models if m.name in found.parts)
    share = f", {percent_text(found.bytes / before)} of the source" if before else ""
    return f"{bytes_text(found.bytes)}{share}"


def time_text(found: DecidedSet) -> str:
    """Its time as a multiple of FP32's; empty where it was not measured."""
    if found.time_ratio is None:
        return ""
    high = found.time_ratio_high
    most = "" if high is None else f" (at most {ratio_text(high)})"
    noisy = ", noisy: no gain is counted" if found.noisy else ""
    return f"{ratio_text(found.time_ratio)} FP32's time{most}{noisy}"


def full_size_of(run: Results, found: DecidedSet) -> int | None:
    """Bytes of VampNet's full-size models in these recipes; None where one was not written."""
    if not is_whole_vampnet(run):
        return None
    roles = {m.name: m.role for m in run.models}
    sizes = [
        full_size_bytes(roles.get(name, ""), SOURCE if recipe == FP32 else recipe)
        for name, recipe in found.parts.items()
    ]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
