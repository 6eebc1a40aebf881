"""Mixtures of variants beside whole recipes, and what they weigh together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from profiles.count.music import chain_of
from vampnet_models.records.profiles import Profile, measured_on
from vampnet_models.records.results import Chain, Model, SetOfParts, Variant
from vampnet_models.spec import CHAIN_ROLES, Role

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


def counted(models: Sequence[Model]) -> list[Model]:
    """The models that sums count: without beat trackers, which the chain can do without.

    Where nothing else came in, they count.
    """
    return [m for m in models if m.role != Role.BEATS.value] or list(models)


def totals_of(models: Sequence[Model]) -> dict[str, int]:
    """Bytes per recipe over the counted models; one that any of them lacks has no total."""
    models = counted(models)
    recipes = [v.recipe for m in models[:1] for v in m.variants]
    totals = {}
    for recipe in recipes:
        found = [_usable(model, recipe) for model in models]
        variants = [v for v in found if v is not None]
        if len(variants) == len(models):
            totals[recipe] = sum(v.bytes or 0 for v in variants)
    return totals


def sets_of(models: Sequence[Model]) -> tuple[SetOfParts, ...]:
    """The mixtures whose four parts exist.

    Where each model has one variant, of a recipe of its own as `tune` leaves it, they are one set.
    """
    chain = _chain(models)
    if chain is None:
        return ()
    only = {r: m.variants[0].recipe for r, m in chain.items() if len(m.variants) == 1}
    if len(only) == len(chain) and len(set(only.values())) > 1:
        found = [_set(_CHOSEN, chain, only)]
    else:
        found = [
            _set(name, chain, {r: codec if r in _CODEC else transformers for r in chain})
            for name, transformers, codec in _MIXTURES
        ]
    return tuple(s for s in found if s is not None)


def is_noisy(profiles: Mapping[str, Profile]) -> bool:
    """Whether a variant's time on the CPU was measured while the machine was busy."""
    cpu = measured_on(profiles, "cpu")
    return cpu is not None and cpu.noisy


def chains_of(models: Sequence[Model], sets: Sequence[SetOfParts]) -> tuple[Chain, ...]:
    """Seconds per 10 s of music of the source, each recipe and each set, per measured target.

    Empty where the four roles are not all there and measured.
    """
    chain = _chain(models)
    if chain is None:
        return ()
    targets = dict.fromkeys(t for m in models for t in m.profiles)
    named = [(v.recipe, dict.fromkeys(chain, v.recipe)) for v in chain[Role.COARSE].variants]
    named += [(s.name, {role: s.parts[role.value] for role in chain}) for s in sets]
    of_sets = [
        (name, {r: v.profiles for r, recipe in parts.items() if (v := _usable(chain[r], recipe))})
        for name, parts in named
    ]
    owners = [("source", {role: model.profiles for role, model in chain.items()}), *of_sets]
    found = [
        chain_of(
            name,
            target,
            {r: own[target] for r, own in profiles.items() if target in own},
            chain[Role.COARSE].family,
        )
        for target in targets
        for name, profiles in owners
    ]
    return tuple(each for each in found if each is not None)


def _chain(models: Sequence[Model]) -> dict[Role, Model] | None:
    """The first model of each role of the chain; None where one is missing."""
    by_role = {model.role: model for model in reversed(models)}
    if not all(role.value in by_role for role in CHAIN_ROLES):
        return None
    return {role: by_role[role.value] for role in CHAIN_ROLES}


def _set(name: str, chain: Mapping[Role, Model], parts: Mapping[Role, str]) -> SetOfParts | None:
    """The set of these recipes; None where a role has none, or it is not usable."""
    chosen = {role: _usable(chain[role], recipe) for role, recipe in parts.items()}
    variants = {role: v for role, v in chosen.items() if v is not None}
    if len(variants) < len(chain):
        return None
    shares = {
        role.value: v.accuracy.token_agreement
        for role, v in variants.items()
        if v.accuracy is not None
    }
    return SetOfParts(
        name=name,
        parts={role.value: v.recipe for role, v in variants.items()},
        bytes=sum(v.bytes or 0 for v in variants.values()),
        token_agreement={role: share for role, share in shares.items() if share is not None},
    )


def _usable(model: Model, recipe: str) -> Variant | None:
    return next((v for v in model.variants if v.recipe == recipe and v.usable), None)
