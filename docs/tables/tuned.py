"""The tables of the sets that `tune` chose."""

from __future__ import annotations

from collections import Counter

from docs.cells import ACCURACY, Json, clear, same, size
from vampnet_models.records.accuracy import FreeRunning
from vampnet_models.records.generic import as_json
from vampnet_models.records.tuning import Tuning
from vampnet_models.text import percent

KEYS = ("bytes", "agreement", "first_agreement", "si_sdr_db", "latency")
FREE = ["free-running", "FP32 twice, free-running"]
BOUNDS = ("min_agreement", "min_first_agreement", "min_si_sdr_db")


def trimmed_search(found: Tuning) -> Json:
    """What is quoted of a tune.json that met what was asked for."""
    chosen, uniform = as_json(found.chosen), as_json(found.uniform)
    wish = as_json(found.wish)
    return {
        "wish": {key: wish[key] for key in BOUNDS},
        "chosen": {key: chosen[key] for key in KEYS},
        "uniform": None if uniform is None else {k: uniform[k] for k in ("recipe", *KEYS)},
        "models": [
            {
                "name": model.name,
                "recipe": model.recipe,
                "bytes": model.bytes,
                "accuracy": {key: as_json(getattr(model.accuracy, key)) for key in ACCURACY[:-1]},
                "free_running": _kept(model.free_running),
                "precisions": dict(Counter(block.chosen for block in model.blocks)),
            }
            for model in found.models
        ],
    }


def _kept(runs: FreeRunning | None) -> Json | None:
    return None if runs is None else {"variant": runs.variant.kept, "floor": runs.floor.kept}


def searches(quoted: list[Json]) -> str:
    """The sets that `tune` chose, and what each model of them got, as Markdown.

    The first four codebooks and free runs have columns where a search asked for or has them.
    """
    return "\n".join([*_sets(quoted), "", *_models(quoted)])


def _sets(quoted: list[Json]) -> list[str]:
    first = any(each["wish"].get("min_first_agreement") is not None for each in quoted)
    columns = ["size", "least agreement", *["first four"] * first, "SI-SDR", "time to FP32"]
    lines = [f"| asked for | set | {' | '.join(columns)} |", f"|---|---|{'---:|' * len(columns)}"]
    for each in quoted:
        rows = [("tuned", each["chosen"])]
        rows += [(f"`{u['recipe']}` throughout", u) for u in [each["uniform"]] if u is not None]
        for name, found in rows:
            cells = [size(found["bytes"]), _percent(found["agreement"])]
            cells += [_percent(found.get("first_agreement"))] * first
            sound = found["si_sdr_db"]
            cells += ["-" if sound is None else f"{sound:.1f} dB", f"{found['latency']:.2f} x"]
            lines.append(f"| {_asked(each)} | {name} | {' | '.join(cells)} |")
    return lines


def _models(quoted: list[Json]) -> list[str]:
    free = any(m.get("free_running") for each in quoted for m in each["models"])
    columns = ["token agreement", "without near-ties", *FREE * free]
    lines = [
        f"| asked for | model | size | {' | '.join(columns)} | blocks |",
        f"|---|---|---:|{'---:|' * len(columns)}---|",
    ]
    for each in quoted:
        asked = f"{each['wish']['min_agreement']:.0%}"
        if each["wish"].get("min_first_agreement") is not None:
            asked = _asked(each)
        for model in each["models"]:
            cells = [size(model["bytes"]), same(model["accuracy"]), clear(model["accuracy"])]
            cells += _free(model.get("free_running")) * free
            lines.append(f"| {asked} | {model['name']} | {' | '.join(cells)} | {_blocks(model)} |")
    return lines


def _blocks(model: Json) -> str:
    # A uniform recipe has its own rules for what it leaves.
    if not model["recipe"].startswith("tuned-"):
        return f"`{model['recipe']}`"
    return ", ".join(f"{n} {precision}" for precision, n in model["precisions"].items())


def whole_search(result: Json) -> str:
    """The set of one search of full-size models, and the ends of its front, as Markdown."""
    wish, chosen = result["wish"], result["chosen"]
    ratios = {part["model"]: part["time_ratio"] for part in chosen["parts"]}
    lines = [
        f"Asked for: at most {size(wish['max_bytes'])}, at least {wish['min_agreement']:.0%} "
        f"token agreement of each model and {wish['min_si_sdr_db']:g} dB. Chosen: "
        f"**{size(chosen['bytes'])}**, {chosen['latency']:.2f} of FP32's time.",
        "",
        "| model | gets | size | token agreement, or sound | free-running | time to FP32 |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for model in result["models"]:
        lines.append(
            f"| {model['name']} | {_blocks(model)} | {size(model['bytes'])} | "
            f"{same(model['accuracy'])} | {_free(model['free_running'])[0]} | "
            f"{ratios[model['name']]:.2f} x |"
        )
    ends = [
        "",
        "| set | size | least agreement | SI-SDR | time to FP32 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in ("smallest", "fastest"):
        found = result[name]
        ends.append(
            f"| {name} of the search | {size(found['bytes'])} | {_percent(found['agreement'])} | "
            f"{found['si_sdr_db']:.1f} dB | {found['latency']:.2f} x |"
        )
    return "\n".join(lines + ends)


def _asked(search: Json) -> str:
    """The bounds of a search, those that bear on its models."""
    wish, found = search["wish"], search["chosen"]
    parts = [] if found["agreement"] is None else [f"{wish['min_agreement']:.0%}"]
    if wish.get("min_first_agreement") is not None:
        parts.append(f"{wish['min_first_agreement']:.0%} of the first four")
    if found["si_sdr_db"] is not None:
        parts.append(f"{wish['min_si_sdr_db']:g} dB")
    return ", ".join(parts)


def _percent(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _free(runs: Json | None) -> list[str]:
    return ["-", "-"] if runs is None else [percent(runs["variant"]), percent(runs["floor"])]
