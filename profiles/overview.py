"""The predecessor's table, redone: storage by use, and what became of its known issues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from profiles.full_size import is_far_smaller, is_whole_vampnet
from profiles.targets import order
from vampnet_models.cache import Json
from vampnet_models.records.import_record import ImportRecord
from vampnet_models.records.results import Lengths, Model, Results, Variant
from vampnet_models.spec import Role

ACCEPTS = {
    "any": "any length",
    "declared": "as declared",
    "one": "{} alone",
    "up-to": "up to {}",
    "none": "none that was tried",
}
"""What a model takes, as a run notes it, and how that is told with the length."""

_CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)


@dataclass(frozen=True)
class Issue:
    """A known issue of the earlier exports, and its state in this run."""

    name: str
    before: str
    now: str


def storage_by_use(results: Results) -> list[tuple[str, str, int]]:
    """(use, recipe, bytes): the codec alone and, where there is more, the whole chain.

    For the source and every recipe.
    """
    rows = []
    whole = _counted(results)
    codec = [m for m in whole if m.role in _CODEC]
    for use, models in (
        ("codec only", codec),
        ("whole chain", whole if len(whole) > len(codec) else []),
    ):
        if not models:
            continue
        rows.append((use, "source", sum(m.source_bytes or 0 for m in models)))
        for recipe in [v.recipe for v in models[0].variants]:
            found = [_variant(m, recipe) for m in models]
            if all(found):
                rows.append((use, recipe, sum(v.bytes or 0 for v in found if v)))
    return rows


def known_issues(
    results: Results, lengths: Mapping[str, Lengths], imported: ImportRecord | None
) -> list[Issue]:
    """The predecessor's issues, where one of VampNet's four is another exporter's.

    `lengths` are the models', as the run noted them.
    """
    if not any(m.made_here is False for m in results.models) or not is_whole_vampnet(results):
        return []
    smallest = min(results.totals.values(), default=None)
    return [
        Issue(
            "fixed length",
            "transformers took exactly 100 frames",
            "; ".join(f"{name}: {lengths_text(each)}" for name, each in lengths.items()),
        ),
        Issue("incomplete weights", "121 of 374 parameters transferred", _transferred(imported)),
        Issue("quality gap", "0.21 % or 97.9 % of the encoder's tokens", _golden(imported)),
        Issue(
            "size on phones",
            "about 3.0 GB, the goal was 1.8 GB",
            "no recipe serves every model"
            if smallest is None
            else f"{results.source_bytes / 1e6:.1f} MB here, {smallest / 1e6:.1f} MB at the "
            f"smallest{_store(results, smallest)}",
        ),
    ]


def lengths_text(lengths: Lengths) -> str:
    """A model's lengths, as a run notes them, in a few words."""
    length = lengths.length
    accepts = lengths.accepts
    told = "unknown" if accepts is None else ACCEPTS[accepts].format(length)
    return f"{told}, all masked" if lengths.whole_mask else told


def import_figures(imported: ImportRecord | None) -> Json | None:
    """What an import kept: counts of tensors, and the share of the original's codes, if compared.

    None where no import is on record.
    """
    if imported is None:
        return None
    tensors = [account.tensors for account in imported.accounts]
    figures = imported.golden.figures if imported.golden else ()
    codes = [figure.value for figure in figures if figure.measure == "codes equal"]
    return {
        "tensors_transferred": sum(t["used"] + t["folded"] for t in tensors),
        "tensors_unused": sum(t["unused"] for t in tensors),
        "tensors_lost": sum(t["unaccounted"] for t in tensors),
        "codes_equal": codes[0] if codes else None,
    }


def _counted(results: Results) -> tuple[Model, ...]:
    """The models without beat trackers, which the chain can do without, if others are there."""
    return tuple(m for m in results.models if m.role != Role.BEATS.value) or results.models


def _transferred(imported: ImportRecord | None) -> str:
    found = import_figures(imported)
    if found is None:
        return "unknown: these models came without import.json (`vampbench import` writes it)"
    return (
        f"{found['tensors_transferred']} tensors transferred, {found['tensors_unused']} unused "
        f"with a reason, {found['tensors_lost']} lost"
    )


def _golden(imported: ImportRecord | None) -> str:
    equal = (import_figures(imported) or {}).get("codes_equal")
    if equal is None:
        return "not checked against the original's answers (`vampbench import --golden`)"
    return f"{equal:.2%} of the original's codes"


def _store(results: Results, n_bytes: int) -> str:
    """What a store says of it; of models far smaller than the published ones that tells nothing."""
    if any(is_far_smaller(m.role, m.source_bytes, m.family) for m in results.models):
        return "; these are small models, the goal is about those of full size"
    for limit in order.store_limits():
        if n_bytes <= limit.bytes:
            return f": fits {limit.store}'s {limit.part}"
    stores = dict.fromkeys(limit.store for limit in order.store_limits())
    return f": over the limits of {' and '.join(stores)}"


def _variant(model: Model, recipe: str) -> Variant | None:
    for variant in model.variants:
        if variant.recipe == recipe and variant.status in ("ok", "missed"):
            return variant
    return None
