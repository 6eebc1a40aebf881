"""Two profiles of the same variants: faster, slower or no difference.

Both documents have the shape of results.json, of which a profile is a part:
`{"schema", "host", "models": [{"name", "variants": [{"recipe", "profiles": {target: record}}]}]}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from profiles.host import differences
from profiles.measure.two_runs import Shift, Times, shift_of
from vampnet_models.errors import InputError

_Json = Mapping[str, Any]
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


def document(name: str, profiles: Mapping[str, _Json], host: _Json) -> dict[str, Any]:
    """The profiles of one model's variants, {recipe: {target: record}}, as a file's content."""
    variants = [{"recipe": recipe, "profiles": dict(p)} for recipe, p in profiles.items()]
    return {"schema": 1, "host": dict(host), "models": [{"name": name, "variants": variants}]}


def compare(old: _Json, new: _Json, *, other_machine: bool = False) -> tuple[Comparison, ...]:
    """Compare what both documents measured; intervals by bootstrap of the raw samples.

    Separate runs differ by more than their samples show (clocks, neighbours, page placement):
    see `two_runs`. Raises InputError when a document has
    another form, when they are of different machines and `other_machine` is not set, or when
    they measured nothing in common.
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


def _host(content: _Json, record: _Json) -> dict[str, Any]:
    """The machine that measured: the record's own where a cluster did, else the document's."""
    return dict(record.get("host") or content.get("host") or {})


def _compare(key: _Key, old: _Json, new: _Json, warnings: tuple[str, ...]) -> Comparison:
    if old.get("threads") != new.get("threads"):
        threads = f"{old.get('threads')} threads then, {new.get('threads')} now"
        warnings = (*warnings, threads)
    if old.get("feed_shapes") != new.get("feed_shapes"):
        raise InputError(
            f"{' '.join(key)}: the input shapes differ ({old.get('feed_shapes')} then, "
            f"{new.get('feed_shapes')} now); profile with the same feeds"
        )
    shift = shift_of(_times(old), _times(new))
    return Comparison(*key, shift, (*warnings, *shift.warnings))


def _times(record: _Json) -> Times:
    yardstick_s = record.get("yardstick_s", ())
    return Times(record["samples_s"], yardstick_s, bool(record.get("noisy")))


def _measured(content: _Json) -> dict[_Key, _Json]:
    try:
        return {
            (model["name"], variant["recipe"], target): record
            for model in content["models"]
            for variant in model["variants"]
            for target, record in variant.get("profiles", {}).items()
            if record["kind"] == "measurement"
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"not a profile: {type(error).__name__} {error}; give a file that `vampbench profile` "
            "or `vampbench run` has written"
        ) from error
