"""The tables of a run's figures, as Markdown."""

from __future__ import annotations

from docs.cells import Json, cost, count, same, share, size, time
from vampnet_models.text import percent


def demo(quoted: Json) -> str:
    """Every variant of the demo's run, and the sizes of whole sets."""
    versions = quoted["host"]["versions"]
    weights = ", ".join(sorted({model["weights"] for model in quoted["models"]}))
    lines = [
        f"`make demo` on {quoted['host']['cpu']}, {quoted['host']['cores']} cores, "
        f"onnxruntime {versions['onnxruntime']}, {quoted['created']}: "
        f"{quoted['took_s'] / 60:.1f} minutes. Weights: {weights}.",
        "",
        "| model | recipe | status | size | token agreement, or sound | sampled agreement | "
        "cost: nats per token, or dB log-mel | CPU median |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for model in quoted["models"]:
        lines.append(
            f"| {model['name']} | source | | {size(model['source_bytes'])} | | | | "
            f"{time(model['cpu'])} |"
        )
        for variant in model["variants"]:
            found = variant["accuracy"]
            nats = found["cost_nats"]
            paid = cost(found["cost_log_mel_db"], 3) if nats is None else cost(nats, 4)
            lines.append(
                f"| | {variant['recipe']} | {variant['status']} | {size(variant['bytes'])} | "
                f"{same(found)} | {share(found['sampled_agreement'])} | {paid} | "
                f"{time(variant['cpu'])} |"
            )
    return "\n".join([*lines, "", *_sets(quoted)])


def codebooks(quoted: Json) -> str:
    """Agreement per codebook with its interval, and the floor, of every recipe."""
    parts = []
    for model in quoted["models"]:
        made = [v for v in model["variants"] if v["accuracy"]["per_codebook"]]
        if not made:
            continue
        names = [v["recipe"] for v in made]
        lines = [
            f"| {model['name']}, codebook | floor | {' | '.join(names)} |",
            "|---|---:|" + "---:|" * len(names),
        ]
        rows = [{book["codebook"]: book for book in v["accuracy"]["per_codebook"]} for v in made]
        for number in rows[0]:
            cells = " | ".join(_share(row[number]) for row in rows)
            lines.append(f"| {number} | {percent(rows[0][number]['floor'])} | {cells} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _share(book: Json) -> str:
    low, high = book["interval"]
    return f"{book['agreement']:.1%} ({low:.1%} to {high:.1%})"


def full_size(quoted: Json) -> str:
    """Sizes, agreement and time of the full-size set."""
    lines = [
        "| model | recipe | size | of FP32 | token agreement, or sound | compared | time to FP32 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for model in quoted["models"]:
        for variant in model["variants"]:
            share = f"{variant['bytes'] / model['source_bytes']:.0%}" if variant["bytes"] else "-"
            ratio = variant["cpu"]["ratio_to_reference"] if variant["cpu"] else None
            lines.append(
                f"| {model['name']} | {variant['recipe']} | {size(variant['bytes'])} | {share} | "
                f"{same(variant['accuracy'])} | {count(variant['accuracy'])} | "
                f"{f'{ratio:.2f} x' if ratio else '-'} |"
            )
    return "\n".join([*lines, "", *_sets(quoted)])


def _sets(quoted: Json) -> list[str]:
    totals = [("source (FP32)", quoted["source_bytes"]), *quoted["totals"].items()]
    totals += [(mixed["name"], mixed["bytes"]) for mixed in quoted["sets"]]
    rows = [f"| {name} | {size(n)} | {n / quoted['source_bytes']:.0%} |" for name, n in totals]
    return ["| all four models | size | of FP32 |", "|---|---:|---:|", *rows]


def full_size_cost(quoted: Json) -> str:
    """What a whole run takes at full size, as a sentence."""
    made = sum(quoted["totals"].values())
    return (
        f"At full size ({size(quoted['source_bytes'])} of models, {quoted['host']['cores']} cores) "
        f"the run took {quoted['took_s'] / 60:.0f} minutes and wrote {size(made)} of variants."
    )


def full_size_files(content: Json) -> str:
    """Bytes and peak memory of every recipe, a column per model, and all four together."""
    models = list(dict.fromkeys(row["model"] for row in content["rows"]))
    made = {(row["model"], row["recipe"]): row for row in content["rows"]}
    lines = [
        f"| recipe | {' | '.join(models)} | all four, most memory |",
        "|---|" + "---:|" * (len(models) + 1),
    ]
    for recipe in dict.fromkeys(row["recipe"] for row in content["rows"]):
        found = [made.get((model, recipe), {}) for model in models]
        cells = [_file(row) for row in found]
        if all("bytes" in row for row in found):
            total: Json = {"bytes": sum(row["bytes"] for row in found)}
            if all("peak_rss_bytes" in row for row in found):
                total["peak_rss_bytes"] = max(row["peak_rss_bytes"] for row in found)
            cells.append(_file(total))
        else:
            cells.append("-")
        calibrates = " (calibrates)" if any(row.get("calibrated") for row in found) else ""
        lines.append(f"| {recipe}{calibrates} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _file(row: Json) -> str:
    """Bytes of a file, and the memory of making it where it was made."""
    if "bytes" not in row:
        return "-"
    peak = row.get("peak_rss_bytes")
    return f"{size(row['bytes'])}, {size(peak)}" if peak else size(row["bytes"])
