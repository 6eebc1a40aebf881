"""Variants x targets -> the `profiles` of results.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from profiles.count.examine import Examined, feed_shapes
from profiles.measure.measure import DEFAULT_PLAN
from profiles.measure.rounds import Plan
from profiles.place import Place
from profiles.targets.contract import Request
from profiles.targets.order import profilers, sharing
from vampnet_models.family import Family
from vampnet_models.progress import Progress, silent
from vampnet_models.records.profiles import Profiles

Step = Callable[[str], AbstractContextManager[Progress]]
"""Begins a step that is called so."""

REFERENCE = "reference"
"""How the model that the others are timed against is called."""


def _unheard(_place: str) -> AbstractContextManager[Progress]:
    return nullcontext(silent)


def profile_variants(
    variants: Mapping[str, Path],
    feeds_path: Path,
    places: Sequence[Place],
    *,
    plan: Plan = DEFAULT_PLAN,
    operators: bool = False,
    family: Family | None = None,
    step: Step = _unheard,
) -> Profiles:
    """Profile {recipe: model file} of one role; the first one is the reference of the ratios.

    `places` as `parse_targets` gives them. With `operators`, CPU measurements also say where the
    time goes. `family` is that of files that name none. `step` is entered for each place, by name,
    and gives its progress, if anybody listens.

    Gives {recipe: {name of the place: record}}. One variant that fails does not stop the others.
    Raises InputError when the feeds cannot be read.
    """
    shapes = feed_shapes(feeds_path)
    records: Profiles = {recipe: {} for recipe in variants}
    seen: dict[Path, Examined] = {}
    by_name = {profiler.name: profiler for profiler in profilers()}
    for place in places:
        profiler = by_name[place.name]
        with step(place.name) as update:
            request = Request(
                variants=variants,
                feeds_path=feeds_path,
                shapes=shapes,
                place=place,
                plan=plan,
                operators=operators,
                targets=sharing(profiler),
                tell=update,
                family=family,
                seen=seen,
            )
            for recipe, record in profiler.profile(request).items():
                records[recipe][place.name] = record
    return records
