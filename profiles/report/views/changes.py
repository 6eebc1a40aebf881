"""Two runs of the same models: what became smaller, truer or faster, variant by variant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from profiles.host import differences
from profiles.measure.stats import OTHER_RUN_MARGIN, Verdict, verdict
from profiles.measure.two_runs import Shift, Times, shift_of
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.host import Host
from vampnet_models.records.profiles import Failure, Measurement, NotMeasured, Profile
from vampnet_models.records.results import Model, Results, Variant

_Hosts = tuple[Host, Host]
"""The machines of the two runs, then and now."""


@dataclass(frozen=True)
class Timing:
    """Time now over time then on one target, or why the two are not compared."""

    target: str
    shift: Shift | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The ratio with its interval and verdict, or null and the reason."""
        if self.shift is None:
            return {"target": self.target, "ratio": None, "reason": self.reason}
        found = {"ratio": asdict(self.shift.ratio), "verdict": self.shift.verdict.value}
        return {"target": self.target, **found, "warnings": list(self.shift.warnings)}


@dataclass(frozen=True)
class Change:
    """One recipe of one model in both runs; None where a run does not have it."""

    model: str
    recipe: str
    then: Variant | None
    now: Variant | None
    kept: str
    timings: tuple[Timing, ...]

    @property
    def size_ratio(self) -> float | None:
        """Bytes now over bytes then."""
        if self.then is None or self.now is None or not self.then.bytes or not self.now.bytes:
            return None
        return self.now.bytes / self.then.bytes

    def as_json(self) -> dict[str, Any]:
        """Bytes, shares and decibels of both runs, and the ratio of times on each target."""
        sides = {"then": self.then, "now": self.now}
        return {
            "model": self.model,
            "recipe": self.recipe,
            **{name: None if side is None else _side_json(side) for name, side in sides.items()},
            "kept": self.kept,
            "times": [timing.as_json() for timing in self.timings],
        }


@dataclass(frozen=True)
class Changes:
    """All variants of both runs, and what keeps them from being compared outright."""

    then: Results
    now: Results
    rows: tuple[Change, ...]
    notices: tuple[str, ...]


def changes_of(then: Results, now: Results, *, other_machine: bool = False) -> Changes:
    """Compare two runs; times of another machine only with `other_machine`."""
    then_host, now_host = then.host or Host(), now.host or Host()
    unlike = differences(now_host, then_host)
    hosts = None if other_machine else (then_host, now_host)
    models = {m.name: m for m in then.models}
    names = dict.fromkeys([*models, *(m.name for m in now.models)])
    later = {m.name: m for m in now.models}
    rows = [row for name in names for row in _model(name, models.get(name), later.get(name), hosts)]
    notices = [*_notices(then, now, unlike), *_machine_notices(rows)]
    return Changes(then, now, tuple(rows), tuple(notices))


def _model(name: str, then: Model | None, now: Model | None, hosts: _Hosts | None) -> list[Change]:
    olds = {v.recipe: v for v in then.variants} if then else {}
    news = {v.recipe: v for v in now.variants} if now else {}
    return [
        Change(
            name,
            recipe,
            olds.get(recipe),
            news.get(recipe),
            _kept(olds.get(recipe), news.get(recipe)),
            _timings(olds.get(recipe), news.get(recipe), hosts),
        )
        for recipe in dict.fromkeys([*olds, *news])
    ]


def _side_json(variant: Variant) -> dict[str, Any]:
    accuracy = variant.judged
    return {
        "bytes": variant.bytes,
        "token_agreement": accuracy.token_agreement,
        "interval": accuracy.interval,
        "si_sdr_db": accuracy.si_sdr_db,
    }


def _kept(then: Variant | None, now: Variant | None) -> str:
    """Whether it keeps more or fewer tokens: only where the two intervals lie apart."""
    if then is None or now is None:
        return "not compared"
    old, new = _interval(then.judged), _interval(now.judged)
    if old is None or new is None:
        return "not compared"
    if new[0] > old[1]:
        return "more"
    return "less" if new[1] < old[0] else "no difference"


def _interval(accuracy: AccuracyReport) -> tuple[float, float] | None:
    """A decoder's decibels have no interval: they are the same each time, to 0.1 dB."""
    if accuracy.token_agreement is not None:
        return accuracy.interval
    decibels = accuracy.si_sdr_db
    return None if decibels is None else (decibels - 0.1, decibels + 0.1)


def _timings(then: Variant | None, now: Variant | None, hosts: _Hosts | None) -> tuple[Timing, ...]:
    if then is None or now is None:
        return ()
    return tuple(
        _timing(target, before, now.profiles[target], hosts)
        for target, before in then.profiles.items()
        if target in now.profiles and isinstance(before, Measurement) and before.samples_s
    )


def _timing(target: str, then: Measurement, now: Profile, hosts: _Hosts | None) -> Timing:
    reason = ""
    if hosts is not None and differences(now.host or hosts[1], then.host or hosts[0]):
        reason = "measured on another machine: --other-machine compares all the same"
    if not isinstance(now, Measurement) or not now.samples_s:
        why = now.reason if isinstance(now, NotMeasured | Failure) else None
        return Timing(target, None, why or "not measured now")
    if then.feed_shapes != now.feed_shapes:
        reason = "the inputs have other shapes: run both with the same audio"
    elif then.threads != now.threads:
        reason = f"{then.threads} threads then, {now.threads} now"
    if reason:
        return Timing(target, None, reason)
    return Timing(target, shift_of(_times(then), _times(now)), "")


def _times(profile: Measurement) -> Times:
    return Times(profile.samples_s, profile.yardstick_s, profile.noisy)


def _notices(then: Results, now: Results, unlike: tuple[str, ...]) -> list[str]:
    made = []
    if unlike:
        made.append(f"Of different machines: {'; '.join(unlike)}")
    earlier = {m.name: m for m in then.models}
    pairs = [(earlier[m.name], m) for m in now.models if m.name in earlier]
    same_audio = then.audio_set.sha256 == now.audio_set.sha256
    fed = [m.name for old, m in pairs if not _same_inputs(old, m, same_audio=same_audio)]
    if fed:
        made.append(f"Judged on different inputs, by which agreement differs too: {', '.join(fed)}")
    other = [m.name for old, m in pairs if m.source_sha256 != old.source_sha256]
    if other:
        made.append(f"Made from different source models: {', '.join(other)}")
    old, new = (run.host.versions if run.host else {} for run in (then, now))
    moved = [
        f"{name} {old.get(name, 'none')} then, {new.get(name, 'none')} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    if moved:
        made.append(f"Different versions: {'; '.join(moved)}")
    return made


def _same_inputs(then: Model, now: Model, *, same_audio: bool) -> bool:
    """Whether a model was judged on the same; by the audio, where a run noted no more than that."""
    if then.evaluation_sha256 is None or now.evaluation_sha256 is None:
        return same_audio
    return then.evaluation_sha256 == now.evaluation_sha256


def _machine_notices(rows: list[Change]) -> list[str]:
    """On which targets the yardstick says that the machine itself was another."""
    moved: dict[str, list[float]] = {}
    for timing in (t for row in rows for t in row.timings):
        machine = timing.shift.machine if timing.shift else None
        if machine and verdict(machine, OTHER_RUN_MARGIN) is not Verdict.NO_DIFFERENCE:
            moved.setdefault(timing.target, []).append(machine.value)
    return [
        f"On {target} the machine itself took {min(ratios):.2f} to {max(ratios):.2f} times as "
        "long for the same work: smaller differences cannot be seen"
        for target, ratios in moved.items()
    ]
