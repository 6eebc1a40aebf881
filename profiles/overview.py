"""The predecessor's table, redone: what to ship where, and what became of its known issues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from profiles.targets import MB
from vampnet_models.spec import Role

Json = dict[str, Any]

KEEPS = 0.99
"""Token agreement from which a variant is recommended without a caveat."""

KEEPS_DB = 30.0
"""SI-SDR from which a decoder variant is."""

NPU = ("npu-fp16", "npu-a8w8", "npu-a16w8")
"""Recipes for Qualcomm's NPU alone: a CPU computes them in float."""

CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)
CODEC_BESIDE_NPU = ("fp16",)
"""The emulated NPU's FP16 keeps 77 % of the encoder's codes and 12 dB of the decoder's sound."""

COREML = ("coreml-fp16",)
"""Float16 in operators that CoreML takes."""

PLAY_BASE_BYTES = 200 * MB
PLAY_PACK_BYTES = 1500 * MB


@dataclass(frozen=True)
class Recommendation:
    """A recipe per role for one target, why, and what it weighs."""

    target: str
    parts: dict[str, str]
    bytes: int
    why: str


@dataclass(frozen=True)
class Issue:
    """A known issue of the earlier exports, and its state in this run."""

    name: str
    before: str
    now: str


def storage_by_use(results: Json) -> list[tuple[str, str, int]]:
    """(use, recipe, bytes): the codec alone and the whole chain, source and every recipe."""
    rows = []
    for use, roles in (("codec only", CODEC), ("whole chain", None)):
        models = [m for m in _counted(results) if roles is None or m["role"] in roles]
        if not models:
            continue
        rows.append((use, "source", sum(m["source_bytes"] for m in models)))
        for recipe in [v["recipe"] for v in models[0]["variants"]]:
            found = [_variant(m, recipe) for m in models]
            if all(found):
                rows.append((use, recipe, sum(v["bytes"] for v in found if v)))
    return rows


def recommendations(results: Json) -> list[Recommendation]:
    """One set per target, each part the best of its model by that target's own measure."""
    found = []
    ios = COREML if _has_all(results, COREML) else ("fp16", "fused")
    for target, allowed, measure, why in (
        ("cpu", None, _cpu_time, "fastest measured here among those that keep the tokens"),
        ("cuda", ("fp16", "fused"), _bytes, "FP16: the CUDA provider has no INT8 QDQ kernels"),
        ("android-cpu", None, _bytes, "smallest among those that keep the tokens"),
        (
            "android-npu",
            NPU,
            _bytes,
            "transformers in what Qualcomm's compiler takes whole; the codec on the CPU",
        ),
        ("ios", ios, _bytes, "FP16: CoreML has no QDQ path"),
    ):
        chosen = {}
        caveats = []
        for model in _counted(results):
            usable = [v for v in model["variants"] if v["status"] == "ok"]
            usual = [v["recipe"] for v in usable if v["recipe"] not in NPU + COREML]
            offered = CODEC_BESIDE_NPU if allowed is NPU and model["role"] in CODEC else allowed
            usable = [v for v in usable if v["recipe"] in (offered or usual)]
            keeping = [v for v in usable if keeps(v)]
            costs = [(cost, v) for v in keeping or usable if (cost := measure(v)) is not None]
            if not costs:
                continue
            if not keeping:
                caveats.append(f"no variant of {model['name']} keeps {KEEPS:.0%} of its tokens")
            chosen[model["name"]] = min(costs, key=lambda pair: pair[0])[1]
        unusable = [m["name"] for m in _counted(results) if not _is_usable(m)]
        caveats += [f"without {name}: it has no usable variant" for name in unusable]
        if chosen and len(chosen) + len(unusable) == len(_counted(results)):
            parts = {name: v["recipe"] for name, v in chosen.items()}
            total = sum(v["bytes"] for v in chosen.values())
            found.append(Recommendation(target, parts, total, "; ".join([why, *caveats])))
    return found


def known_issues(results: Json, dynamic: dict[str, str], imported: Json | None) -> list[Issue]:
    """The predecessor's issues. `dynamic` is each model's accepted lengths in words."""
    smallest = min(results["totals"].values(), default=None)
    return [
        Issue(
            "fixed length",
            "transformers took exactly 100 frames",
            "; ".join(f"{name}: {text}" for name, text in dynamic.items()),
        ),
        Issue(
            "incomplete weights",
            "121 of 374 parameters transferred",
            _transferred(imported),
        ),
        Issue(
            "quality gap",
            "0.21 % or 97.9 % of the encoder's tokens",
            _golden(imported),
        ),
        Issue(
            "size on phones",
            "about 3.0 GB, the goal was 1.8 GB",
            "no recipe serves every model"
            if smallest is None
            else f"{results['source_bytes'] / MB:.1f} MB here, {smallest / MB:.1f} MB at the "
            f"smallest: {_store(smallest)}",
        ),
    ]


def keeps(variant: Json) -> bool:
    """Whether a variant keeps the tokens (or the audio) without a caveat."""
    accuracy = variant["accuracy"] or {}
    if accuracy.get("token_agreement") is not None:
        return bool(accuracy["token_agreement"] >= KEEPS)
    return bool((accuracy.get("si_sdr_db") or 0) >= KEEPS_DB)


def _is_usable(model: Json) -> bool:
    return any(v["status"] == "ok" for v in model["variants"])


def _has_all(results: Json, recipes: tuple[str, ...]) -> bool:
    return all(
        any(v["recipe"] in recipes and v["status"] == "ok" for v in model["variants"])
        for model in _counted(results)
        if _is_usable(model)
    )


def _counted(results: Json) -> list[Json]:
    """The models without beat trackers, which the chain can do without, if others are there."""
    models: list[Json] = results["models"]
    return [m for m in models if m["role"] != Role.BEATS.value] or models


def _transferred(imported: Json | None) -> str:
    if imported is None:
        return "unknown: these models came without import.json (`vampbench import` writes it)"
    tensors = [a["tensors"] for a in imported["accounts"]]
    kept = sum(t["used"] + t["folded"] for t in tensors)
    lost = sum(t["unaccounted"] for t in tensors)
    unused = sum(t["unused"] for t in tensors)
    return f"{kept} tensors transferred, {unused} unused with a reason, {lost} lost"


def _golden(imported: Json | None) -> str:
    golden = (imported or {}).get("golden")
    if not golden:
        return "not checked against the original's answers (`vampbench import --golden`)"
    for figure in golden["figures"]:
        if figure["measure"] == "codes equal":
            return f"{figure['value']:.2%} of the original's codes"
    return "the golden file holds no codes"


def _store(n_bytes: int) -> str:
    if n_bytes <= PLAY_BASE_BYTES:
        return "fits Google Play's base module"
    if n_bytes <= PLAY_PACK_BYTES:
        return "fits a Google Play asset pack, not its base module"
    return "over a Google Play asset pack"


def _variant(model: Json, recipe: str) -> Json | None:
    for variant in model["variants"]:
        if variant["recipe"] == recipe and variant["status"] in ("ok", "missed"):
            return dict(variant)
    return None


def _bytes(variant: Json) -> float | None:
    return float(variant["bytes"])


def _cpu_time(variant: Json) -> float | None:
    cpu = variant["profiles"].get("cpu") or {}
    return cpu.get("median_s")
