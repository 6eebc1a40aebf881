"""What profilers of several targets do with a look at each variant's graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from profiles.count.examine import Examined
from profiles.count.music import pace_of
from profiles.targets.contract import Request
from vampnet_models.errors import InputError
from vampnet_models.records.profiles import Failure, Measurement, Profile
from vampnet_models.spec import spec_of


def examine_each(request: Request, work: Callable[[Examined], Profile]) -> dict[str, Profile]:
    """Look at one variant after the other.

    One that cannot be read gives a record that it failed.
    """
    records: dict[str, Profile] = {}
    for done, (recipe, path) in enumerate(request.variants.items()):
        request.tell(done, len(request.variants))
        try:
            records[recipe] = work(request.examined(path))
        except InputError as error:
            records[recipe] = Failure(request.place.name, str(error))
    request.tell(len(request.variants), len(request.variants))
    return records


def with_derived(request: Request, examined: Examined, found: Measurement) -> Measurement:
    """With what the time says by the counts of the graph: pace, FLOPs, FLOPs per second."""
    spec = spec_of(examined.model)
    pace = pace_of(spec.role, request.shapes, found.median_s, spec.family or request.family)
    return replace(
        found,
        audio_s=pace.audio_s,
        real_time_factor=pace.real_time_factor,
        ms_per_step=pace.ms_per_step,
        feed_shapes=dict(request.shapes),
        flops=examined.cost.flops,
        flops_per_s=examined.cost.flops / found.median_s,
        flops_by_precision=examined.cost.flops_by("precision"),
    )
