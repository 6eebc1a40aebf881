"""Tables of the notes: calibration's memory, emulated phones, estimates, the decoder's time.

What was measured once, while something was built, is kept as tables in docs/notes-results.json.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from docs.cells import Json, size
from vampnet_models.text import percent

CASES = {"session": "FP32 session alone"}


def calibration_memory(records: list[Json]) -> str:
    """Peak memory of each case over that of the session alone, at the same length."""
    alone = {r["frames"]: r["peak_rss_bytes"] for r in records if r["case"] == "session"}
    lines = [
        "| frames | case | samples | peak RSS | over the session | predicted | processor time |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for r in records:
        over = r["peak_rss_bytes"] - alone[r["frames"]]
        cpu = r.get("cpu_s")
        cells = [
            str(r["frames"]),
            CASES.get(r["case"], f"`{r['case']}`"),
            str(r["samples"]),
            size(r["peak_rss_bytes"]),
            size(over) if over else "-",
            size(r["predicted_bytes"]),
            f"{cpu:.0f} s" if cpu else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def npu(content: Json) -> str:
    """What Qualcomm's compiler made of each variant, and what its emulator chose."""
    lines = [
        "| model | recipe | parts | context binary | emulated NPU | same file on x86 | compared |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for r in content["variants"].values():
        found = r["emulated"]
        unit = "tokens" if found["measure"] == "tokens" else "samples"
        lines.append(
            f"| {r['model']} | `{r['recipe']}` | {r['partitions']} | {size(r['context_bytes'])} | "
            f"{_said(found['measure'], found['to_reference'])} | "
            f"{_said(found['measure'], found['variant_to_reference'])} | "
            f"{found['n_positions']:,} {unit} |"
        )
    return "\n".join(lines)


def arm64(content: Json) -> str:
    """How far emulated ARM64 agrees with x86 with the same file."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    for r in content["records"].values():
        said = "equal, bit for bit" if r["bit_equal"] else _said(r["measure"], r["arm_to_x86"])
        rows[r["recipe"]][r["model"]] = said
    models = sorted({r["model"] for r in content["records"].values()})
    lines = [f"| recipe | {' | '.join(models)} |", "|---|" + "---:|" * len(models)]
    for recipe, said_of in rows.items():
        lines.append(f"| `{recipe}` | {' | '.join(said_of.get(m, '-') for m in models)} |")
    return "\n".join(lines)


def efficiency(content: Json) -> str:
    """The share of the bound that whole models reached, where the times were not noisy."""
    lines = ["| models | model | recipe | share of the bound |", "|---|---|---|---:|"]
    for r in content["rows"]:
        if not r["noisy"]:
            share = f"{r['share']:.2f}"
            lines.append(f"| {r['set']} | {r['model']} | `{r['recipe']}` | {share} |")
    return "\n".join(lines)


def codec_speed(content: Json, model: str, heads: tuple[str, str]) -> str:
    """A codec's model in every runtime of the latency benchmark: how much faster, how near."""
    (case,) = (c for c in content["cases"].values() if c["model"] == model)
    lines = [f"| {heads[0]} | speed-up | 95 % interval | {heads[1]} |", "|---|---:|---:|---:|"]
    for name, found in case["summary"].items():
        near = case["runners"][name]["agreement"]
        if near is not None and "speedup" in found:
            low, high = found["speedup_interval"]
            lines.append(
                f"| `{name}` | {found['speedup']:.2f} x | {low:.2f} to {high:.2f} | "
                f"{percent(near['value']) if model == 'codec_encoder' else _decibels(near)} |"
            )
    return "\n".join(lines)


def once(table: Json) -> str:
    """A table of what was measured once, as it is kept: `align` has an l or r for each column."""
    rules = {"l": "---", "r": "---:"}
    lines = [table["columns"], *table["rows"]]
    head, *rows = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([head, f"|{'|'.join(rules[each] for each in table['align'])}|", *rows])


def made(runs: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Each part of the notes by its name."""
    for name, table in runs["notes"]["tables"].items():
        yield name, once(table)
    yield "calibration-memory", calibration_memory(runs["calibration"])
    yield "npu", npu(runs["qnn"])
    yield "arm", arm64(runs["arm64"])
    yield "efficiency", efficiency(runs["efficiency"])
    for model in ("decoder", "encoder"):
        heads = (model, "SI-SDR to FP32" if model == "decoder" else "token agreement")
        yield f"{model}-speed", codec_speed(runs["latency"], f"codec_{model}", heads)


def _decibels(near: Json) -> str:
    return f"{near['value']:.1f} dB"


def _said(measure: str, value: float) -> str:
    return percent(value) if measure == "tokens" else f"{value:.1f} dB"
