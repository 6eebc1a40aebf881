"""Results of `real_models.py`, and their section of docs/results/reliability.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import ROOT
from bench.reliability.onnx_suite_results import put_section
from bench.reliability.real_converters import CONVERTERS
from bench.reliability.real_tasks import TASKS
from bench.reliability.real_wheels import SHIPPED
from optimize.variant import versions
from vampnet_models.cache import Json
from vampnet_models.onnxfile.artifact import sha256_of

RESULTS = ROOT / "bench" / "results" / "real_models.json"
_SCHEMA = 1
_TITLE = "## Trained models of public packages"


def gathered(
    rows: Sequence[Json], sources: Mapping[str, Path], code: str, recordings: Sequence[str]
) -> Json:
    """All that the page says, by model: where it is from, its task, and what became of it."""
    models = []
    for each in SHIPPED:
        task, path = TASKS[each.name], sources[each.name]
        models.append(
            {
                "name": each.name,
                "package": f"{each.package} {each.version}",
                "file": each.member,
                "sha256": sha256_of((path,)),
                "bytes": path.stat().st_size,
                "measure": task.unit,
                "limit": task.limit,
                "higher": task.higher,
                "results": {
                    row["converter"]: {k: row[k] for k in ("outcome", "detail", "value", "bytes")}
                    for row in rows
                    if row["model"] == each.name
                },
            }
        )
    found = {"schema": _SCHEMA, "code": code, "versions": versions()}
    return found | {"recordings": list(recordings), "models": models}


def section(content: Json) -> str:
    """A table of sources, one of results, and why ours refused."""
    models = content["models"]
    lines = [
        "Taken out of the packages' wheels, converted, and judged by what they are for, on "
        f"recordings ({', '.join(content['recordings'])}; first half to calibrate, second half to "
        "judge). A cell: the measure against the model as shipped, and the size; **bold** where "
        "the measure misses its limit.",
        "",
        "| model | package | MB | measure | limit |",
        "|---|---|---:|---|---:|",
    ]
    for model in models:
        sign = "≥" if model["higher"] else "≤"
        lines.append(
            f"| {model['name']} | {model['package']} | {model['bytes'] / 1e6:.2f} | "
            f"{model['measure']} | {sign} {model['limit']:g} |"
        )
    lines += [
        "",
        f"| converter | {' | '.join(model['name'] for model in models)} |",
        "|---|" + "---|" * len(models),
    ]
    for converter in CONVERTERS:
        cells = (_cell(model, model["results"][converter]) for model in models)
        lines.append(f"| {converter} | {' | '.join(cells)} |")
    reasons: dict[str, list[str]] = {}
    for model in models:
        for converter, row in model["results"].items():
            if row["outcome"] in ("refused", "error") and " " not in converter:
                reasons.setdefault(row["detail"], []).append(f"{model['name']} {converter}")
    if reasons:
        lines += ["", "Why not, ours:", ""]
    lines += [f"- {', '.join(places)}: {reason}" for reason, places in reasons.items()]
    lines += ["", "`python -m bench.reliability.real_models` makes the tables again."]
    return "\n".join(lines) + "\n"


def _cell(model: Json, row: Json) -> str:
    if row["value"] is None:
        return str(row["outcome"])
    shown = f"{row['value']:.3f}" if model["limit"] < 2 else f"{row['value']:.1f}"
    if row["outcome"] != "ok":
        shown = f"**{shown}**"
    return f"{shown}, {row['bytes'] / 1e6:.2f} MB"


def with_section(text: str, content: Json) -> str:
    """The page with this section in place of the one that it has, or at its end."""
    return put_section(text, _TITLE, section(content))
