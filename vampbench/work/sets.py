"""Mixtures of variants worth deploying, and what they weigh together."""

from __future__ import annotations

from typing import Any

from profiles.count.music import chain_record
from vampnet_models.family import Family
from vampnet_models.spec import CHAIN_ROLES, Role

_Json = dict[str, Any]

_CODEC = (Role.CODEC_ENCODER, Role.CODEC_DECODER)

_MIXTURES = (
    ("int8-weights transformers, fp16 codec", "int8-weights", "fp16"),
    ("int8-dynamic transformers, fp16 codec", "int8-dynamic", "fp16"),
    ("int8-static transformers, fp16 codec", "int8-static", "fp16"),
    ("int4-weights transformers, fp16 codec", "int4-weights", "fp16"),
    ("int8-dynamic transformers, int8-weights codec", "int8-dynamic", "int8-weights"),
)
"""(name, recipe of the transformers, recipe of the codec)."""

_CHOSEN = "the chosen set"
_FASTEST = "fastest measured on cpu"
_FASTEST_OF_NOISY = f"{_FASTEST}, of noisy times"
"""Another measurement may find another set."""


def counted(models: list[_Json]) -> list[_Json]:
    """The models that sums count: without beat trackers, which the chain can do without.

    Where nothing else came in, they count.
    """
    return [m for m in models if m["role"] != Role.BEATS.value] or models


def totals_of(models: list[_Json]) -> dict[str, int]:
    """Bytes per recipe over the counted models; one that any of them lacks has no total."""
    models = counted(models)
    recipes = [v["recipe"] for m in models[:1] for v in m["variants"]]
    totals = {}
    for recipe in recipes:
        variants = [_usable(model, recipe) for model in models]
        if all(variants):
            totals[recipe] = sum(v["bytes"] for v in variants if v)
    return totals


def sets_of(models: list[_Json]) -> list[_Json]:
    """The mixtures whose four parts exist, then the smallest and the fastest measured set.

    Where each model has one variant, of a recipe of its own as `tune` leaves it, they are one set.
    """
    by_role = {model["role"]: model for model in reversed(models)}
    chain = [by_role.get(role.value) for role in CHAIN_ROLES]
    if not all(chain):
        return []
    recipes = {r: [v["recipe"] for v in by_role[r]["variants"]] for r in CHAIN_ROLES}
    only: dict[Role, str | None] = {r: each[0] for r, each in recipes.items() if len(each) == 1}
    if len(only) == len(CHAIN_ROLES) and len(set(only.values())) > 1:
        whole = _set(_CHOSEN, by_role, only)
        return [] if whole is None else [whole]
    found = [
        _set(name, by_role, {r: codec if r in _CODEC else transformers for r in CHAIN_ROLES})
        for name, transformers, codec in _MIXTURES
    ]
    found.append(_set("smallest", by_role, {r: _best(by_role[r], _bytes) for r in CHAIN_ROLES}))
    fastest = {r: _best(by_role[r], _cpu_median) for r in CHAIN_ROLES}
    noisy = any(is_noisy(v) for r in CHAIN_ROLES for v in by_role[r]["variants"])
    found.append(_set(_FASTEST_OF_NOISY if noisy else _FASTEST, by_role, fastest))
    return [s for s in found if s is not None]


def is_noisy(variant: _Json) -> bool:
    """Whether a variant's time on the CPU was measured while the machine was busy."""
    return bool((variant["profiles"].get("cpu") or {}).get("noisy"))


def chains_of(models: list[_Json], sets: list[_Json]) -> list[_Json]:
    """Seconds per 10 s of music of the source, each recipe and each set, per measured target.

    Empty where the four roles are not all there and measured.
    """
    by_role = {model["role"]: model for model in reversed(models)}
    if not all(role.value in by_role for role in CHAIN_ROLES):
        return []
    coarse = by_role[Role.COARSE.value]
    family = Family(**coarse["family"]) if coarse.get("family") else None
    recipes = [v["recipe"] for v in coarse["variants"]]
    named: list[tuple[str, dict[str, str] | None]] = [("source", None)]
    named += [(r, {role.value: r for role in CHAIN_ROLES}) for r in recipes]
    named += [(s["name"], s["parts"]) for s in sets]
    targets = dict.fromkeys(t for m in by_role.values() for t in m["profiles"])
    found = []
    for target in targets:
        for name, parts in named:
            owners = {
                r: by_role[r.value] if parts is None else _usable(by_role[r.value], parts[r.value])
                for r in CHAIN_ROLES
            }
            records = {r: (o or {}).get("profiles", {}).get(target) for r, o in owners.items()}
            record = chain_record({r: each for r, each in records.items() if each}, family)
            if record is not None:
                found.append({"name": name, "target": target, **record})
    return found


def _set(name: str, by_role: dict[str, _Json], parts: dict[Role, str | None]) -> _Json | None:
    chosen = {r: _usable(by_role[r], recipe) if recipe else None for r, recipe in parts.items()}
    if not all(chosen.values()):
        return None
    return {
        "name": name,
        "parts": {role.value: recipe for role, recipe in parts.items()},
        "bytes": sum(v["bytes"] for v in chosen.values() if v),
        "token_agreement": {
            role.value: v["accuracy"]["token_agreement"]
            for role, v in chosen.items()
            if v and v["accuracy"] and v["accuracy"]["token_agreement"] is not None
        },
    }


def _usable(model: _Json, recipe: str) -> _Json | None:
    for variant in model["variants"]:
        if variant["recipe"] == recipe and variant["status"] in ("ok", "missed"):
            return dict(variant)
    return None


def _best(model: _Json, cost: Any) -> str | None:
    usable = [v for v in model["variants"] if v["status"] == "ok" and cost(v) is not None]
    return min(usable, key=cost)["recipe"] if usable else None


def _bytes(variant: _Json) -> int:
    return int(variant["bytes"])


def _cpu_median(variant: _Json) -> float | None:
    profile = variant["profiles"].get("cpu") or {}
    return profile.get("median_s") if profile.get("kind") == "measurement" else None
