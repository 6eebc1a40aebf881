"""Which variant of each model a bundle packs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from profiles.overview import recommendations
from profiles.targets.contract import Target
from vampbench.work.workspace import Workspace
from vampnet_models.errors import InputError
from vampnet_models.progress import Reporter
from vampnet_models.records.results import Model, Results
from vampnet_models.spec import Role

_CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)


def chosen_for(
    target: Target,
    results: Results,
    root: Path,
    wish: str | None,
    reporter: Reporter,
    *,
    is_default: bool,
) -> dict[str, str]:
    """A recipe by model: what was wished for, what `tune` found, else what `overview` advises.

    Of the run of a bundle's own (`is_default`), the target's default recipes. Models that `wish`
    does not name get what they would get without it. What speaks against a set that is advised is
    told. Raises InputError where `wish` names what the run does not have, and where there is no set
    for the target.
    """
    wished = _wished(wish, results) if wish is not None else {}
    if wished.keys() >= {m.name for m in results.models}:
        return wished
    rest = _tuned(root, results) or (
        {m.name: target.default_recipe(m.role) for m in results.models}
        if is_default
        else _recommended(target, results, wished, reporter)
    )
    return rest | wished


def _wished(wish: str, results: Results) -> dict[str, str]:
    """`coarse=fp16,codec=int8-weights` or one recipe for all, as a recipe by model."""
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
            made = [v.recipe for v in model.variants if v.status in ("ok", "missed")]
            if recipe not in made:
                raise InputError(
                    f"recipe: the run has no variant {recipe} of {model.name}; it has "
                    f"{', '.join(made) or 'no variant'}"
                )
            found[model.name] = recipe
    return found


def _names(model: Model) -> tuple[str, ...]:
    """What a user may call a model."""
    role = model.role
    named = {model.name: None} | ({role: None} if role != Role.GENERIC.value else {})
    return (*named, *(("codec",) if role in _CODEC else ()))


def _recommended(
    target: Target, results: Results, wished: Mapping[str, str], reporter: Reporter
) -> dict[str, str]:
    """What `overview` advises. Raises InputError when the run has no set for the target."""
    for advice in recommendations(results):
        if advice.target == target.name:
            for caveat in advice.caveats:
                if caveat.matters and caveat.model not in wished:
                    reporter.warn(caveat.text)
            return advice.parts
    recipes = ",".join(target.default_recipes)
    measured = f", and measure on {target.name}" if target.by_time else ""
    raise InputError(
        f"the run has no usable variant of every model for {target.name}; run again with the "
        f"recipes {recipes}{measured}"
    )


def _tuned(root: Path, results: Results) -> dict[str, str] | None:
    """The set that `tune` chose, where the folder has one."""
    if not Workspace(root).tuning.is_file():
        return None
    chosen = {m.name: v.recipe for m in results.models for v in m.variants[:1]}
    return chosen or None
