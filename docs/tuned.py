"""README's tables of the sets that `tune` chose."""

from __future__ import annotations

from collections import Counter

from docs.cells import ACCURACY, Json, clear, same, size
from workbench.console import percent

KEYS = ("bytes", "agreement", "first_agreement", "si_sdr_db", "latency")
BOUNDS = ("min_agreement", "min_first_agreement", "min_si_sdr_db")


def trimmed_search(result: Json) -> Json:
    """What README quotes of a tune.json."""
    uniform = result["uniform"]
    return {
        "wish": {key: result["wish"][key] for key in BOUNDS},
        "chosen": {key: result["chosen"][key] for key in KEYS},
        "uniform": None if uniform is None else {k: uniform[k] for k in ("recipe", *KEYS)},
        "models": [
            {
                "name": model["name"],
                "recipe": model["recipe"],
                "bytes": model["bytes"],
                "accuracy": {key: model["accuracy"][key] for key in ACCURACY[:-1]},
                "free_running": _kept(model["free_running"]),
                "precisions": dict(Counter(block["chosen"] for block in model["blocks"])),
            }
            for model in result["models"]
        ],
    }


def _kept(runs: Json | None) -> Json | None:
    return None if runs is None else {name: run["kept"] for name, run in runs.items()}


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
    columns = ["says the same", "without near-ties", *["free-running (floor)"] * free]
    lines = [
        f"| asked for | model | size | {' | '.join(columns)} | blocks |",
        f"|---|---|---:|{'---:|' * len(columns)}---|",
    ]
    for each in quoted:
        asked = f"{each['wish']['min_agreement']:.0%}"
        if each["wish"].get("min_first_agreement") is not None:
            asked = _asked(each)
        for model in each["models"]:
            counts = ", ".join(f"{n} {p}" for p, n in model["precisions"].items())
            # A uniform recipe has its own rules for what it leaves.
            what = counts if model["recipe"].startswith("tuned-") else f"`{model['recipe']}`"
            cells = [size(model["bytes"]), same(model["accuracy"]), clear(model["accuracy"])]
            cells += [_free(model.get("free_running"))] * free
            lines.append(f"| {asked} | {model['name']} | {' | '.join(cells)} | {what} |")
    return lines


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


def _free(runs: Json | None) -> str:
    return "-" if runs is None else f"{percent(runs['variant'])} ({percent(runs['floor'])})"
