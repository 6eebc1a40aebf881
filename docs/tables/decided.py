"""What was decided for the reference models, as a sentence and as a table."""

from __future__ import annotations

from docs.cells import Json, size


def sentence(decided: Json) -> str:
    """The set of the CPU, which `bundle` packs where no run is given."""
    cpu = decided["decision"]["cpu"]
    found = cpu["smallest"]
    return (
        f"Of the small reference models it is, on the CPU, {parts_of(found['parts'])}: "
        f"{size(found['bytes'])}, {_time(found)} ({_grade(cpu)})."
    )


def table(decided: Json) -> str:
    """A row for each target."""
    lines = ["| target | the set | size | time | grade |", "|---|---|---:|---|---|"]
    for target, each in decided["decision"].items():
        found = each["smallest"]
        lines.append(
            f"| `{target}` | {parts_of(found['parts'])} | {size(found['bytes'])} | "
            f"{_time(found)} | {_grade(each)} |"
        )
    return "\n".join(lines)


def _grade(each: Json) -> str:
    unheld = each["unheld"]
    return f"{each['grade']}: not shown of {', '.join(unheld)}" if unheld else str(each["grade"])


def parts_of(parts: dict[str, str]) -> str:
    """Which recipe each model of a set has, in words."""
    if len(set(parts.values())) == 1:
        return f"`{next(iter(parts.values()))}` for every model"
    return ", ".join(f"`{recipe}` for {model}" for model, recipe in parts.items())


def _time(found: Json) -> str:
    if found["time_ratio"] is None:
        return "not measured"
    noisy = " (noisy)" if found["noisy"] else ""
    return f"{found['time_ratio']:.2f} x FP32's time{noisy}"
