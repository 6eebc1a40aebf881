"""The tables of `bench/accuracy/run.py`: what each tool's INT8 keeps, and what making it costs."""

from __future__ import annotations

from typing import Any

from bench.accuracy.tools import ENDED
from vampnet_models.cache import Json
from vampnet_models.text import megabytes, percent


def small_tools(content: Json) -> str:
    """Tokens and size, then seconds and peak memory, as Markdown."""
    return "\n\n".join(
        (_table(content, "INT8 by", _kept), _table(content, "seconds, peak memory", _cost))
    )


def full_size_tools(content: Json) -> str:
    """Tokens, size, seconds and peak memory in one cell, as Markdown."""
    feeds = content["feeds"]
    return "\n\n".join(
        (
            f"*Seeded weights: not an accuracy claim.* {feeds['states']} calibration states of "
            f"{feeds['frames']} frames:",
            _table(content, "INT8 by", lambda row: f"{_kept(row)}, {_cost(row)}"),
        )
    )


def _table(content: Json, head: str, cell: Any) -> str:
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
    if found["token_agreement"] is None:
        return f"{found['si_sdr_db']:.1f} dB, {megabytes(row['bytes'])}"
    clear = percent(found["near_ties"]["agreement_excluding"])
    return f"{percent(found['token_agreement'])} ({clear}), {megabytes(row['bytes'])}"


def _cost(row: Json) -> str:
    if "seconds" not in row:
        return "-"
    return f"{row['seconds']:.1f} s, {row['peak_rss_bytes'] / 1e9:.2f} GB"
