"""The short tables that help to choose: five precisions, and which recipe when."""

from __future__ import annotations

from dataclasses import dataclass

from docs.cells import Json, signed, size
from profiles.full_size import full_size_bytes, full_size_total_bytes
from vampnet_models.text import percent

PRECISIONS = {
    "FP32": None,
    "FP16": "fp16",
    "static INT8": "int8-static",
    "dynamic INT8": "int8-dynamic",
    "INT4 weights": "int4-weights",
}
TRANSFORMERS, CODEC = ("coarse", "c2f"), ("codec-encoder", "codec-decoder")


@dataclass(frozen=True)
class Use:
    """A recipe, when to take it and where it is to run."""

    recipe: str
    when: str
    made_for: str


USES = (
    Use("fused", "nothing may change", "CPU, CUDA, phones' CPU"),
    Use("fp16", "the codec; every model on CUDA", "CPU, CUDA, phones' CPU"),
    Use("int8-dynamic", "fast transformers, nothing to calibrate", "CPU, phones' CPU"),
    Use("int8-static", "as fast, higher agreement; needs audio", "CPU, phones' CPU"),
    Use("int8-weights", "small files, high agreement", "CPU, phones' CPU"),
    Use("int4-weights", "the smallest files, low agreement", "CPU, phones' CPU"),
)


def precisions(full: Json, real: Json) -> str:
    """Size and time at full size beside what small trained models lose."""
    lines = [
        "| precision | four models, full size | time, full-size coarse | "
        "sampled agreement: coarse, c2f | cost: encoder, decoder |",
        "|---|---:|---:|---:|---:|",
        f"| *measured on* | *seeded weights* | *seeded weights, {full['host']['cores']} CPU cores* "
        "| *small trained models* | *on real recordings* |",
    ]
    for name, recipe in PRECISIONS.items():
        if recipe is None:
            cells = [size(full_size_total_bytes()), "1.00 x", "100 %", "0 dB"]
        else:
            drawn = " / ".join(_percent(_sampled(real, role, recipe)) for role in TRANSFORMERS)
            lost = " / ".join(signed(_cost_db(real, role, recipe), 2) for role in CODEC)
            cells = [size(_written_bytes(recipe)), _ratio(full, "coarse", recipe), drawn]
            cells.append(f"{lost} dB")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def uses(full: Json, real: Json) -> str:
    """Which recipe when."""
    lines = [
        "| recipe | take it for | sampled agreement of coarse | coarse, decoder take | "
        "size of FP32 | made for |",
        "|---|---|---:|---:|---:|---|",
    ]
    for use in USES:
        times = " / ".join(_ratio(full, role, use.recipe) for role in ("coarse", "codec-decoder"))
        share = _written_bytes(use.recipe) / full_size_total_bytes()
        lines.append(
            f"| `{use.recipe}` | {use.when} | {percent(_sampled(real, 'coarse', use.recipe))} | "
            f"{times} | {share:.0%} | {use.made_for} |"
        )
    return "\n".join(lines)


def _written_bytes(recipe: str) -> int:
    """All four full-size models in a recipe: files are written more often than runs are made."""
    return sum(full_size_bytes(role, recipe) or 0 for role in (*TRANSFORMERS, *CODEC))


def _variant(quoted: Json, role: str, recipe: str) -> Json:
    model = next(m for m in quoted["models"] if m["role"] == role)
    found: Json = next(v for v in model["variants"] if v["recipe"] == recipe)
    return found


def _sampled(quoted: Json, role: str, recipe: str) -> float:
    share: float = _variant(quoted, role, recipe)["accuracy"]["sampled_agreement"]["value"]
    return share


def _cost_db(quoted: Json, role: str, recipe: str) -> float:
    cost_db: float = _variant(quoted, role, recipe)["accuracy"]["cost_log_mel_db"]["value"]
    return cost_db


def _ratio(quoted: Json, role: str, recipe: str) -> str:
    cpu = _variant(quoted, role, recipe)["cpu"]
    noisy = " (noisy)" if cpu["noisy"] else ""
    return f"{cpu['ratio_to_reference']:.2f} x{noisy}"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")
