"""Two profiles of the same variants: faster, slower or no difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from profiles.host import differences
from profiles.measure.two_runs import Shift, Times, shift_of
from vampnet_models.errors import InputError
from vampnet_models.records.files import read_values
from vampnet_models.records.generic import PROFILE, record_of
from vampnet_models.records.host import Host
from vampnet_models.records.profiles import Measurement, ProfileFile
from vampnet_models.records.results import Results

Timed = ProfileFile | Results
"""What `vampbench profile -o` or `run` wrote."""

_Key = tuple[str, str, str]
"""(model, recipe, target)"""


@dataclass(frozen=True)
class Comparison:
    """One variant on one target, then and now."""

    model: str
    recipe: str
    target: str
    shift: Shift
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The fields in one level; ratios are new over old."""
        fields = asdict(self)
        return {**fields, **fields.pop("shift"), "warnings": list(self.warnings)}


def read_timed(path: Path) -> Timed:
    """An earlier profile, or the profiles of a run. Raises InputError when it is neither."""
    values = read_values(PROFILE, path)
    kind: type[Timed] = Results if isinstance(values, dict) and "tool" in values else ProfileFile
    return record_of(kind, values, PROFILE, str(path))


def compare(old: Timed, new: Timed, *, other_machine: bool = False) -> tuple[Comparison, ...]:
    """Compare what both measured; intervals by bootstrap of the raw samples.

    Separate runs differ by more than their samples show (clocks, neighbours, page placement):
    see `two_runs`. Raises InputError when they are of different machines and `other_machine` is
    not set, or when they measured nothing in common.
    """
    then, now = _measured(old), _measured(new)
    unlike = tuple(
        dict.fromkeys(
            fact
            for key in then
            if key in now
            for fact in differences(_host(new, now[key]), _host(old, then[key]))
        )
    )
    if unlike and not other_machine:
        raise InputError(
            f"the old profile is of another machine ({'; '.join(unlike)}); measure both here, or "
            "allow it with --other-machine"
        )
    common = [key for key in then if key in now]
    if not common:
        raise InputError(
            "the two profiles measured nothing in common; profile the same models, recipes and "
            "targets"
        )
    machine = ("of different machines: this compares machines, not variants",) if unlike else ()
    return tuple(_compare(key, then[key], now[key], machine) for key in common)


def _host(content: Timed, record: Measurement) -> Host:
    """The machine that measured: the record's own where a cluster did, else the file's."""
    return record.host or content.host or Host()


def _compare(
    key: _Key, old: Measurement, new: Measurement, warnings: tuple[str, ...]
) -> Comparison:
    if old.threads != new.threads:
        warnings = (*warnings, f"{old.threads} threads then, {new.threads} now")
    if old.feed_shapes != new.feed_shapes:
        raise InputError(
            f"{' '.join(key)}: the input shapes differ ({old.feed_shapes} then, "
            f"{new.feed_shapes} now); profile with the same feeds"
        )
    shift = shift_of(_times(old), _times(new))
    return Comparison(*key, shift, (*warnings, *shift.warnings))


def _times(record: Measurement) -> Times:
    return Times(record.samples_s, record.yardstick_s, record.noisy)


def _measured(content: Timed) -> dict[_Key, Measurement]:
    """Those with samples."""
    return {
        (model.name, variant.recipe, target): record
        for model in content.models
        for variant in model.variants
        for target, record in variant.profiles.items()
        if isinstance(record, Measurement) and record.samples_s
    }
