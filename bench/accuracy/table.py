"""The tables of `bench/accuracy/run.py`: what each tool's model loses, and what making it takes."""

from __future__ import annotations

from collections.abc import Callable

from bench.accuracy.child import ENDED
from bench.accuracy.measures import MEASURES, Measure
from vampnet_models.cache import Json
from vampnet_models.spec import Role
from vampnet_models.text import end_of, megabytes, percent

_SAID_CHARACTERS = 120
"""Of a failed tool's words in a cell; the record has more."""


def small_tools(content: Json) -> str:
    """A table per model, a row per tool: size, what it loses, seconds and peak memory."""
    return "\n\n".join(_of_model(model) for model in content["models"])


def full_size_tools(content: Json) -> str:
    """Tokens, size, seconds and peak memory in one cell, as Markdown."""
    feeds = content["feeds"]
    return "\n\n".join(
        (
            f"*Seeded weights: not an accuracy claim.* {feeds['states']} calibration states of "
            f"{feeds['frames']} frames:",
            _table(content, "INT8 by", lambda row: f"{_kept(row)}, {_took(row)}"),
        )
    )


def _of_model(model: Json) -> str:
    rows = model["tools"]
    measures = [each for each in MEASURES if any(each.of(row) is not None for row in rows)]
    ranked = [head for each in measures for head in (each.name, "its worst recording")]
    kept = "SI-SDR" if model["role"] == Role.CODEC_DECODER.value else "token agreement"
    heads = [model["name"], "size", "of FP32", kept, *ranked, "seconds", "peak memory"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for row in rows:
        took = _took(row).split(", ") if "seconds" in row else ["-", "-"]
        if "failed" in row:
            said = f"failed: {end_of(row['failed'], _SAID_CHARACTERS)}".replace("|", "\\|")
            cells = ["-", "-", said, *("-" for _ in ranked)]
        else:
            share = f"{row['bytes'] / model['source_bytes']:.0%}"
            cells = [megabytes(row["bytes"]), share, _same(row["accuracy"])]
            cells += [cell for each in measures for cell in _figure(each, row)]
        lines.append(f"| {' | '.join([row['tool'], *cells, *took])} |")
    return "\n".join(lines)


def _figure(measure: Measure, row: Json) -> tuple[str, str]:
    """The value with its interval, and the worst recording's."""
    figure = measure.of(row)
    if figure is None:
        return "-", "-"
    value, low, high = (measure.told({"value": figure[key]}) for key in ("value", "low", "high"))
    each = figure["per_recording"]
    name = max(each, key=lambda name: measure.loss({"value": each[name]}), default=None)
    worst = "-" if name is None else f"{measure.told({'value': each[name]})} ({name})"
    return f"{value} ({low} to {high})", worst


def _table(content: Json, head: str, cell: Callable[[Json], str]) -> str:
    """A row per tool, a column per model; `-` where a tool is not for a model."""
    models = content["models"]
    made = [{row["tool"]: row for row in model["tools"]} for model in models]
    tools = list(dict.fromkeys(name for rows in made for name in rows))
    lines = [
        f"| {head} | {' | '.join(model['name'] for model in models)} |",
        "|---|" + "---:|" * len(models),
    ]
    for tool in tools:
        cells = (cell(rows[tool]) if tool in rows else "-" for rows in made)
        lines.append(f"| {tool} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _kept(row: Json) -> str:
    if "failed" in row:
        return row["failed"] if row["failed"].startswith(ENDED) else "failed"
    found = row["accuracy"]
    clear = ""
    if found["near_ties"] is not None:
        clear = f" ({percent(found['near_ties']['agreement_excluding'])})"
    return f"{_same(found)}{clear}, {megabytes(row['bytes'])}"


def _same(found: Json) -> str:
    if found["token_agreement"] is None:
        return f"{found['si_sdr_db']:.1f} dB"
    return percent(found["token_agreement"])


def _took(row: Json) -> str:
    if "seconds" not in row:
        return "-"
    return f"{row['seconds']:.1f} s, {row['peak_rss_bytes'] / 1e9:.2f} GB"
