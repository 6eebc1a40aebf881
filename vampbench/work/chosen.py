"""Which variant of each model a bundle packs."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.report.views.read import undecided
from profiles.targets.contract import Target
from vampnet_models.errors import InputError
from vampnet_models.records.results import FP32, Decision, Model, Results
from vampnet_models.spec import Role

_CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)


def chosen_for(
    target: Target,
    results: Results,
    decision: Mapping[str, Decision],
    wish: str | None,
    *,
    fastest: bool,
) -> dict[str, str]:
    """A recipe by model: what was wished for, else what was decided for the target.

    Models that `wish` does not name get what they would get without it. Raises InputError where
    `wish` names what the run does not have, and where nothing was decided for the target.
    """
    asked = wished(wish, results) if wish is not None else {}
    if asked.keys() >= {m.name for m in results.models}:
        return asked
    return _decided(target, results, decision, fastest=fastest) | asked


def wished(wish: str, results: Results) -> dict[str, str]:
    """`coarse=fp16,codec=int8-weights` or one recipe for all, as a recipe by model.

    Raises InputError where it names what the run does not have.
    """
    models = results.models
    if "=" in wish:
        pairs = [word.split("=", 1) for word in wish.split(",") if "=" in word]
        if len(pairs) < len(wish.split(",")):
            raise InputError(f"recipe {wish}: give MODEL=RECIPE, with commas, or one recipe alone")
    else:
        pairs = [[m.name, wish] for m in models]
    found = {}
    for called, recipe in (map(str.strip, pair) for pair in pairs):
        meant = [m for m in models if called in _names(m)]
        if not meant:
            names = ", ".join(dict.fromkeys(name for m in models for name in _names(m)))
            raise InputError(f"recipe: {called}: the run has no such model; name one of {names}")
        for model in meant:
            made = [*(v.recipe for v in model.variants if v.usable), FP32]
            if recipe not in made:
                raise InputError(
                    f"recipe: the run has no variant {recipe} of {model.name}; it has "
                    f"{', '.join(made)}"
                )
            found[model.name] = recipe
    return found


def _names(model: Model) -> tuple[str, ...]:
    """What a user may call a model."""
    role = model.role
    named = {model.name: None} | ({role: None} if role != Role.GENERIC.value else {})
    return (*named, *(("codec",) if role in _CODEC else ()))


def _decided(
    target: Target, results: Results, decision: Mapping[str, Decision], *, fastest: bool
) -> dict[str, str]:
    """The set of the target. Raises InputError where there is none."""
    if not decision and (why := undecided(results)) is not None:
        raise InputError(f"{why}; or name what to pack: --recipe")
    if target.name not in decision:
        if not target.own_recipes:
            raise InputError(
                f"nothing was decided for {target.name}: there are sets for {', '.join(decision)}"
            )
        recipes = ", ".join(target.own_recipes)
        raise InputError(
            f"the run has not what {target.name} takes of every model; run again with --recipes "
            f"that name one of {recipes}"
        )
    found = decision[target.name].fastest if fastest else decision[target.name].smallest
    if found is None:
        raise InputError(
            f"{target.name} was not measured: nothing is known to be the fastest there; leave "
            "--fastest out"
        )
    return dict(found.parts)
