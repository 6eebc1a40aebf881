"""The tables of the sets that `tune` chose."""

from __future__ import annotations

from collections.abc import Sequence

from docs.cells import Json, clear, cost, same, share, signed, size
from vampnet_models.text import percent

_FREE = ["free-running", "FP32 twice, free-running"]
_COSTS = ("grade", "min_sampled", "max_cost_nats", "max_cost_db")
"""What asks for a cost; other bounds ask for the same tokens and sound."""

_NATS_DIGITS, _DB_DIGITS = 4, 3


def searches(quoted: Sequence[Json]) -> str:
    """The sets that `tune` chose, and what each model of them got, as Markdown.

    Searches by grade or cost have a table of what their models cost, those that ask for the same
    tokens one of token agreement. What no search asked for or has is no column.
    """
    by_cost = [each for each in quoted if _by_cost(each)]
    by_tokens = [each for each in quoted if not _by_cost(each)]
    blocks = [_sets(quoted), _missed(quoted), _costs(by_cost), _tokens(by_tokens)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def asked(search: Json) -> str:
    """The grade and bounds of a search, those that bear on its models."""
    wish, found = search["wish"], search["chosen"]
    has_tokens = found is None or found["agreement"] is not None
    has_sound = found is None or found["si_sdr_db"] is not None
    parts = [] if wish["grade"] is None else [wish["grade"]]
    for key, text, bears in (
        ("min_sampled", "{:.0%} sampled", has_tokens),
        ("max_cost_nats", "{:g} nats", has_tokens),
        ("max_cost_db", "{:g} dB log-mel", True),
        ("min_agreement", "{:.0%}", has_tokens),
        ("min_first_agreement", "{:.0%} of the first four", has_tokens),
        ("min_si_sdr_db", "{:g} dB", has_sound),
        ("max_latency", "{:g} x", True),
    ):
        if wish[key] is not None and bears:
            parts.append(text.format(wish[key]))
    if wish["max_bytes"] is not None:
        parts.append(size(wish["max_bytes"]))
    return ", ".join(parts)


def _by_cost(search: Json) -> bool:
    return any(search["wish"][key] is not None for key in _COSTS)


def _asks(quoted: Sequence[Json], *keys: str) -> bool:
    return any(each["wish"][key] is not None for each in quoted for key in keys)


def _sets(quoted: Sequence[Json]) -> list[str]:
    """Each chosen set, and the smallest of one recipe that keeps the same."""
    costs = any(_by_cost(each) for each in quoted)
    tokens = _asks(quoted, "min_agreement")
    first, sound = _asks(quoted, "min_first_agreement"), _asks(quoted, "min_si_sdr_db")
    columns = [
        *("size", "of FP32"),
        *["cost, at most"] * costs,
        *["sampled, at least"] * costs,
        *["least agreement"] * tokens,
        *["first four"] * first,
        *["SI-SDR"] * sound,
        "time to FP32",
    ]
    lines = [f"| asked for | set | {' | '.join(columns)} |", f"|---|---|{'---:|' * len(columns)}"]
    for each in quoted:
        rows = [("tuned" if each["chosen"] else "none", each["chosen"])]
        rows += [(f"`{u['recipe']}` throughout", u) for u in [each["uniform"]] if u is not None]
        for name, found in rows:
            cells = ["-"] * len(columns)
            if found is not None:
                cells = [size(found["bytes"]), _of_fp32(found["bytes"], each["source_bytes"])]
                cells += [_cost_of_set(found), _sampled_of_set(found)] * costs
                cells += [_percent(found["agreement"])] * tokens
                cells += [_percent(found["first_agreement"])] * first
                cells += [_decibels(found["si_sdr_db"])] * sound
                cells.append(_time(found["latency"], None, found["latency_high"], found["noisy"]))
            lines.append(f"| {asked(each)} | {name} | {' | '.join(cells)} |")
    return lines


def _missed(quoted: Sequence[Json]) -> list[str]:
    """What was said where nothing keeps what was asked for."""
    return [f"*{asked(each)}*: {each['verdict']}" for each in quoted if each["chosen"] is None]


def _costs(quoted: Sequence[Json]) -> list[str]:
    lines = [
        "| asked for | model | size | of FP32 | cost | sampled agreement | time to FP32 | blocks |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for each in quoted:
        for model in each["models"]:
            accuracy = model["accuracy"]
            cells = [size(model["bytes"]), _of_fp32(model["bytes"], model["source_bytes"])]
            cells += [_cost(accuracy), share(accuracy["sampled_agreement"]), _timed(model["cpu"])]
            lines.append(
                f"| {asked(each)} | {model['name']} | {' | '.join(cells)} | {_blocks(model)} |"
            )
    return lines if len(lines) > 2 else []


def _tokens(quoted: Sequence[Json]) -> list[str]:
    free = any(model["free_running"] for each in quoted for model in each["models"])
    columns = ["token agreement", "without near-ties", *_FREE * free]
    lines = [
        f"| asked for | model | size | {' | '.join(columns)} | blocks |",
        f"|---|---|---:|{'---:|' * len(columns)}---|",
    ]
    for each in quoted:
        for model in each["models"]:
            cells = [size(model["bytes"]), same(model["accuracy"]), clear(model["accuracy"])]
            cells += _free(model["free_running"]) * free
            lines.append(
                f"| {asked(each)} | {model['name']} | {' | '.join(cells)} | {_blocks(model)} |"
            )
    return lines if len(lines) > 2 else []


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
            f"{_decibels(found['si_sdr_db'])} | {found['latency']:.2f} x |"
        )
    return "\n".join(lines + ends)


def _cost(accuracy: Json) -> str:
    """What a model costs, by what it is judged by."""
    nats, log_mel = accuracy["cost_nats"], accuracy["cost_log_mel_db"]
    if nats is not None and nats["value"] is not None:
        return f"{cost(nats, _NATS_DIGITS)} nats"
    found = cost(log_mel, _DB_DIGITS)
    return found if found == "-" else f"{found} dB"


def _cost_of_set(found: Json) -> str:
    """The highest upper ends of its models."""
    ends = [
        f"{signed(figure['high'], digits)} {unit}"
        for figure, digits, unit in (
            (found["cost_nats"], _NATS_DIGITS, "nats"),
            (found["cost_log_mel_db"], _DB_DIGITS, "dB"),
        )
        if figure is not None and figure["high"] is not None
    ]
    return ", ".join(ends) or "-"


def _sampled_of_set(found: Json) -> str:
    """The lowest lower end of its transformers."""
    figure = found["sampled_agreement"]
    return "-" if figure is None else _percent(figure["low"])


def _timed(cpu: Json | None) -> str:
    if cpu is None or cpu["ratio_to_reference"] is None:
        return "-"
    low, high = cpu["ratio_interval"] or (None, None)
    return _time(cpu["ratio_to_reference"], low, high, cpu["noisy"])


def _time(ratio: float, low: float | None, high: float | None, noisy: bool) -> str:
    """A multiple of FP32's time with its interval, or the upper end of that, where it is known."""
    said = []
    if high is not None:
        said.append(f"up to {high:.2f}" if low is None else f"{low:.2f} to {high:.2f}")
    said += ["noisy"] * noisy
    return f"{ratio:.2f} x ({', '.join(said)})" if said else f"{ratio:.2f} x"


def _of_fp32(n_bytes: int, source_bytes: int | None) -> str:
    return "-" if not source_bytes else f"{n_bytes / source_bytes:.0%}"


def _decibels(found: float | None) -> str:
    return "-" if found is None else f"{found:.1f} dB"


def _percent(found: float | None) -> str:
    return "-" if found is None else percent(found)


def _free(runs: Json | None) -> list[str]:
    return ["-", "-"] if runs is None else [percent(runs["variant"]), percent(runs["floor"])]
