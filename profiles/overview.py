"""The predecessor's table, redone: what to ship where, and what became of its known issues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from profiles.full_size import is_far_smaller, is_whole_vampnet
from profiles.targets import order
from profiles.targets.contract import Target, Why
from vampnet_models.cache import Json
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.import_record import ImportRecord
from vampnet_models.records.profiles import measured_on
from vampnet_models.records.results import Lengths, Model, Results, Variant
from vampnet_models.spec import Role
from vampnet_models.text import percent

_KEEPS = 0.99
"""Token agreement from which a variant is recommended without a caveat."""

KEEPS_DB = 30.0
"""SI-SDR from which a decoder variant is; SQNR for a generic model's outputs that are numbers."""

RULE = (
    f"keeps the tokens: {_KEEPS:.0%} agreement, sound {KEEPS_DB:g} dB SI-SDR, "
    f"numbers {KEEPS_DB:g} dB SQNR"
)
"""By which a recommendation takes a variant or refuses it."""

_NOISY_MARGIN = 0.25
_MARGIN = 0.02
"""What two times may differ by and still be no difference, beyond their intervals: where one of
them is noisy, and where none is."""

ACCEPTS = {
    "any": "any length",
    "declared": "as declared",
    "one": "{} alone",
    "up-to": "up to {}",
    "none": "none that was tried",
}
"""What a model takes, as a run notes it, and how that is told with the length."""

_CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)
_FASTEST = Why("fastest", "fastest{}, measured here; the smallest of equals")
_SMALLEST = Why("smallest", "smallest{}")
"""What was looked for; the text has a place for what it was looked for among."""


@dataclass(frozen=True)
class Caveat:
    """What speaks against a recommendation; `model` is None where it is about all of them.

    `code`: `tokens-lost` (no variant of the model keeps `_KEEPS` of its tokens), `model-left-out`,
    `not-there` (nothing of it runs on what the target is for), `noisy`.
    """

    code: str
    model: str | None
    text: str

    @property
    def matters(self) -> bool:
        """Whether what ships is less than its target asks for."""
        return self.code in ("tokens-lost", "not-there")


_NOISY = Caveat(
    "noisy",
    None,
    "its times are noisy: it may be no faster than others; on an idle machine: run --time-again",
)


@dataclass(frozen=True)
class Refusal:
    """A variant that a target could have had, were its tokens kept."""

    model: str
    recipe: str
    text: str


@dataclass(frozen=True)
class Recommendation:
    """A recipe per model for one target, what it weighs, why, and what speaks against it.

    `refused` are the variants that lose too many tokens.
    """

    target: str
    parts: dict[str, str]
    bytes: int
    why: Why
    caveats: tuple[Caveat, ...]
    refused: tuple[Refusal, ...]


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


def recommendations(results: Results) -> list[Recommendation]:
    """One set per target, each part the best of its model by that target's own measure."""
    made = [_recommendation(results, target) for target in order.TARGETS]
    return [each for each in made if each is not None]


def _recommendation(results: Results, target: Target) -> Recommendation | None:
    """None where some model has a usable variant, but none of what the target takes."""
    chosen = {}
    caveats = []
    refused = []
    for model in _counted(results):
        offered = _offered(results, target, model)
        usable = [v for v in model.variants if v.status == "ok" and v.recipe in offered]
        keeping = [v for v in usable if keeps(v)]
        open_to = keeping or usable
        if target.by_time:
            open_to = _not_slower(open_to)
        if not open_to:
            continue
        best = chosen[model.name] = min(open_to, key=lambda v: v.bytes or 0)
        if not keeping:
            lost = f"no variant of {model.name} that it takes keeps the tokens"
            lost += f": {best.recipe} {_kept(best)}"
            caveats.append(Caveat("tokens-lost", model.name, lost))
        refused += [
            Refusal(model.name, v.recipe, _below(v))
            for v in usable
            if v is not chosen[model.name] and not keeps(v)
        ]
    unusable = [m.name for m in _counted(results) if not _is_usable(m)]
    caveats += [
        Caveat("model-left-out", name, f"without {name}: it has no usable variant")
        for name in unusable
    ]
    if target.codec_recipes is not None and all(m.role in _CODEC for m in _counted(results)):
        nothing = f"nothing of it runs on the NPU ({target.provider}): it has no transformers"
        caveats.append(Caveat("not-there", None, nothing))
    if target.by_time and any(_is_noisy(v) for m in results.models for v in m.variants):
        caveats.append(_NOISY)
    if not chosen or len(chosen) + len(unusable) < len(_counted(results)):
        return None
    parts = {name: v.recipe for name, v in chosen.items()}
    total = sum(v.bytes or 0 for v in chosen.values())
    losing = [c.model for c in caveats if c.code == "tokens-lost" and c.model is not None]
    why = target.why or _among(_FASTEST if target.by_time else _SMALLEST, losing, len(chosen))
    return Recommendation(target.name, parts, total, why, tuple(caveats), tuple(refused))


def _among(why: Why, lost: list[str], n_models: int) -> Why:
    """The reason, in words that hold for a set with models of which nothing keeps the tokens."""
    among = " that keeps the tokens" + (f" ({', '.join(lost)} aside)" if lost else "")
    return replace(why, text=why.text.format("" if len(lost) == n_models else among))


def _offered(results: Results, target: Target, model: Model) -> tuple[str, ...]:
    """The recipes of a model that the target may be advised to take."""
    if target.codec_recipes is not None and model.role in _CODEC:
        return target.codec_recipes
    if target.recipes is None:
        elsewhere = {r for t in order.TARGETS if t.name != target.name for r in t.own_recipes}
        return tuple(v.recipe for v in model.variants if v.recipe not in elsewhere)
    if target.instead is not None and not _has_all(results, target.recipes):
        return target.instead
    return target.recipes


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


def keeps(variant: Variant) -> bool:
    """Whether a variant keeps the tokens (or the audio, or the numbers) without a caveat."""
    accuracy = variant.accuracy or AccuracyReport()
    agreed, decibels = accuracy.token_agreement, _decibels(accuracy)
    kept_numbers = decibels is not None and decibels >= KEEPS_DB
    if agreed is None:
        return kept_numbers
    return agreed >= _KEEPS and (decibels is None or kept_numbers)


def _kept(variant: Variant) -> str:
    """What it keeps, and which bound that misses: `has 98.87 %, below 99%`."""
    accuracy = variant.accuracy or AccuracyReport()
    if accuracy.token_agreement is not None:
        return f"has {percent(accuracy.token_agreement)}, {_below(variant)}"
    if accuracy.si_sdr_db is not None:
        return f"has {accuracy.si_sdr_db:.1f} dB, {_below(variant)}"
    return _below(variant)


def _below(variant: Variant) -> str:
    accuracy = variant.accuracy or AccuracyReport()
    agreed, decibels = accuracy.token_agreement, _decibels(accuracy)
    if agreed is not None and agreed < _KEEPS:
        return f"below {_KEEPS:.0%}"
    return "was not compared" if decibels is None else f"below {KEEPS_DB:g} dB"


def _decibels(accuracy: AccuracyReport) -> float | None:
    """Of a decoder, of the worst of a generic model's numbers; None where tokens tell all."""
    if accuracy.token_agreement is not None:
        return accuracy.numbers_db
    return accuracy.snr_db if accuracy.si_sdr_db is None else accuracy.si_sdr_db


def _is_usable(model: Model) -> bool:
    return any(v.status == "ok" for v in model.variants)


def _has_all(results: Results, recipes: tuple[str, ...]) -> bool:
    return all(
        any(v.recipe in recipes and v.status == "ok" for v in model.variants)
        for model in _counted(results)
        if _is_usable(model)
    )


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


def _is_noisy(variant: Variant) -> bool:
    cpu = measured_on(variant.profiles, "cpu")
    return cpu is not None and cpu.noisy


def _variant(model: Model, recipe: str) -> Variant | None:
    for variant in model.variants:
        if variant.recipe == recipe and variant.status in ("ok", "missed"):
            return variant
    return None


def _not_slower(variants: list[Variant]) -> list[Variant]:
    """The measured ones of which no other is shown to be faster: their times are no difference."""
    spans = [(v, span) for v in variants if (span := _cpu_span(v)) is not None]
    return [
        variant
        for variant, (low, _) in spans
        if not any(
            high * (1 + (_NOISY_MARGIN if _is_noisy(variant) or _is_noisy(other) else _MARGIN))
            < low
            for other, (_, high) in spans
        )
    ]


def _cpu_span(variant: Variant) -> tuple[float, float] | None:
    """Where the time lies, as a multiple of FP32's; the median alone where no interval is kept."""
    cpu = measured_on(variant.profiles, "cpu")
    return None if cpu is None else cpu.ratio_interval or (cpu.median_s, cpu.median_s)
