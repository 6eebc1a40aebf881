"""What profilers of several targets do with a look at each variant's graph."""

from __future__ import annotations

from collections.abc import Callable

from profiles.count.examine import Examined, examine
from profiles.count.music import rates
from profiles.measure.records import Failure
from profiles.targets.contract import Request
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.spec import spec_of


def examine_each(request: Request, work: Callable[[Examined], Json]) -> dict[str, Json]:
    """Look at one variant after the other, so that only one graph is in memory.

    One that cannot be read gives a record that it failed.
    """
    records = {}
    for done, (recipe, path) in enumerate(request.variants.items()):
        request.tell(done, len(request.variants), recipe)
        try:
            records[recipe] = work(examine(path, request.shapes))
        except InputError as error:
            records[recipe] = Failure(request.place.name, str(error)).as_json()
    request.tell(len(request.variants), len(request.variants), "done")
    return records


def derived(request: Request, examined: Examined, median_s: float) -> Json:
    """What a measured time says with the counts of the graph: pace, FLOPs, FLOPs per second."""
    spec = spec_of(examined.model)
    return {
        **rates(spec.role, request.shapes, median_s, spec.family or request.family),
        "feed_shapes": {name: list(shape) for name, shape in request.shapes.items()},
        "flops": examined.cost.flops,
        "flops_per_s": examined.cost.flops / median_s,
        "flops_by_precision": examined.cost.flops_by("precision"),
    }
