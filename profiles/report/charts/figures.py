"""From a model's variants to its charts, each with a caption and what could not be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup

from profiles.report.charts.agreement import (
    Series,
    agreement_chart,
    codebook_axis,
    mask_ratio_axis,
)
from profiles.report.charts.latency import Spread, latency_chart
from profiles.report.charts.marks import Mark
from profiles.report.charts.scales import Axis, agreement_axis, bytes_axis, db_axis, seconds_axis
from profiles.report.charts.sensitivity import sensitivity_chart
from profiles.report.charts.tradeoff import Point, tradeoff_chart
from profiles.report.views.target_lines import title_of
from profiles.report.views.units import (
    agreement_text,
    bytes_text,
    db_text,
    seconds_range,
    seconds_text,
)
from vampnet_models.records.accuracy import AccuracyReport, CodebookShare
from vampnet_models.records.profiles import Estimate, Measurement, Profile, measured_on
from vampnet_models.records.results import Model, Variant


@dataclass(frozen=True)
class Figure:
    """A chart with what it shows."""

    caption: str
    chart: Markup


@dataclass(frozen=True)
class _Quality:
    """What stands on the vertical axis: token agreement, or decibels for decoders."""

    name: str
    of: Callable[[AccuracyReport], float | None]
    text: Callable[[float], str]
    axis: Axis
    floor: float | None


def tradeoffs(model: Model, marks: dict[str, Mark]) -> tuple[Figure, ...]:
    """Size against quality, then time against quality for each target that has times."""
    quality = _quality(model)
    if quality is None:
        return ()
    made = []
    sizes = [v for v in model.variants if v.usable and v.bytes is not None]
    points = [
        _point(v, marks, quality, v.bytes or 0.0, None, bytes_text(v.bytes or 0.0), True)
        for v in sizes
    ]
    if drawn := [p for p in points if p is not None]:
        costs = [p.x for p in drawn] + [model.source_bytes or 0.0]
        made.append(
            Figure(
                f"Size and {quality.name}",
                tradeoff_chart(
                    drawn,
                    bytes_axis("file size", costs),
                    quality.axis,
                    name=f"{model.name}: file size against {quality.axis.label}",
                    floor=quality.floor,
                    source_x=model.source_bytes,
                ),
            )
        )
    targets = dict.fromkeys(t for v in model.variants for t in v.profiles)
    made += [f for t in targets if (f := _time_figure(model, t, marks, quality)) is not None]
    return tuple(made)


def undrawn(model: Model) -> tuple[str, ...]:
    """The variants without a point in the trade-off charts, each with the reason."""
    quality = _quality(model)
    lines = []
    for v in model.variants:
        if not v.usable:
            lines.append(f"{v.recipe}: {v.status}, {v.reason or 'no reason given'}")
        elif quality is None or quality.of(v.judged) is None:
            lines.append(f"{v.recipe}: accuracy not measured")
        elif math.isnan(quality.of(v.judged) or 0.0):
            lines.append(f"{v.recipe}: accuracy is not a number")
    return tuple(lines)


def agreements(model: Model, marks: dict[str, Mark]) -> tuple[Figure, ...]:
    """Agreement per codebook (also given that all earlier ones agree) and per mask ratio."""
    made = [
        _codebooks(model, marks, lambda c: c.agreement, "Agreement per codebook", with_floor=True),
        _codebooks(
            model,
            marks,
            lambda c: c.given_earlier,
            "The same where all earlier codebooks agree",
            with_floor=False,
        ),
        _mask_ratios(model, marks),
    ]
    return tuple(f for f in made if f is not None)


def latencies(model: Model, marks: dict[str, Mark]) -> Figure | None:
    """Measured CPU times of the source and the variants."""
    rows: list[tuple[str, Mark | None, Measurement | None]] = [
        ("FP32 source", None, measured_on(model.profiles, "cpu"))
    ]
    rows += [(v.recipe, marks[v.recipe], measured_on(v.profiles, "cpu")) for v in model.variants]
    spreads = [
        Spread(name, mark, p.median_s, p.p10_s, p.p90_s, p.samples_s, _time_text(name, p))
        for name, mark, p in rows
        if p is not None
    ]
    if not spreads:
        return None
    return Figure("Where the times lie", latency_chart(spreads, name=f"{model.name}: CPU times"))


def sensitivities(model: Model, marks: dict[str, Mark]) -> tuple[Figure, ...]:
    """What each block would cost in each precision, where a search measured that."""
    blocks = [block for block in model.blocks if len(block.options) > 1]
    if not blocks:
        return ()
    chart = sensitivity_chart(blocks, marks, name=f"{model.name}: damage per block and precision")
    return (Figure("What each block costs, alone in a precision", chart),)


def _quality(model: Model) -> _Quality | None:
    made = [v.judged for v in model.variants if v.usable]
    shares = [a.token_agreement for a in made if a.token_agreement is not None]
    if not model.is_decoder and shares:
        floors = [a.floor for a in made if a.floor is not None]
        floor = min(floors) if floors else None
        spans = [low for a in made if a.interval is not None for low in a.interval]
        label = "beats within 20 ms" if model.is_beats else "token agreement"
        axis = agreement_axis([*shares, *spans, *floors], label)
        return _Quality("agreement", lambda a: a.token_agreement, agreement_text, axis, floor)
    decibels = [a.si_sdr_db for a in made if a.si_sdr_db is not None]
    if decibels:
        floors = [a.floor_si_sdr_db for a in made if a.floor_si_sdr_db is not None]
        axis = db_axis("SI-SDR", [*decibels, *floors])
        lowest = min(floors, default=None)
        return _Quality("SI-SDR", lambda a: a.si_sdr_db, db_text, axis, lowest)
    ratios = [a.snr_db for a in made if a.snr_db is not None]
    if ratios:
        axis = db_axis("SQNR", ratios)
        return _Quality("SQNR", lambda a: a.snr_db, db_text, axis, None)
    return None


def _time_figure(
    model: Model, target: str, marks: dict[str, Mark], quality: _Quality
) -> Figure | None:
    points: list[Point] = []
    for v in model.variants:
        profile = v.profiles.get(target)
        cost = None if profile is None or not v.usable else _cost(profile)
        if cost is None or profile is None:
            continue
        seconds, span, measured = cost
        text = seconds_text(seconds) if span is None else seconds_range(*span)
        point = _point(v, marks, quality, seconds, span, text, measured)
        points += [] if point is None else [point]
    if not points:
        return None
    source = measured_on(model.profiles, target)
    source_s = None if source is None else source.median_s
    ends = [e for p in points for e in (p.x_range or (p.x,))]
    kind = "measured" if all(p.measured for p in points) else "estimate"
    shown = title_of(target)
    return Figure(
        f"{shown} time and {quality.name} ({kind})",
        tradeoff_chart(
            points,
            seconds_axis(f"time of one call, {shown}", [*ends, source_s or 0.0]),
            quality.axis,
            name=f"{model.name}: {shown} time against {quality.axis.label}",
            floor=quality.floor,
            source_x=source_s,
        ),
    )


def _cost(profile: Profile) -> tuple[float, tuple[float, float] | None, bool] | None:
    """(seconds, range, measured), or None when the profile holds no time."""
    if isinstance(profile, Measurement):
        known = profile.p10_s is not None and profile.p90_s is not None
        span = (profile.p10_s or 0.0, profile.p90_s or 0.0) if known else None
        return profile.median_s, span, True
    if not isinstance(profile, Estimate) or profile.low_s is None or profile.high_s is None:
        return None
    return (profile.low_s + profile.high_s) / 2, (profile.low_s, profile.high_s), False


def _point(
    variant: Variant,
    marks: dict[str, Mark],
    quality: _Quality,
    x: float,
    x_range: tuple[float, float] | None,
    cost: str,
    measured: bool,
) -> Point | None:
    y = quality.of(variant.judged)
    if y is None or math.isnan(y):
        return None
    on_tokens = y == variant.judged.token_agreement
    return Point(
        mark=marks[variant.recipe],
        x=x,
        y=y,
        x_range=x_range,
        y_range=variant.judged.interval if on_tokens else None,
        measured=measured,
        missed=variant.status == "missed",
        text=f"{variant.recipe}: {cost}{'' if measured else ' (estimate)'}, {quality.text(y)}",
    )


def _codebooks(
    model: Model,
    marks: dict[str, Mark],
    value: Callable[[CodebookShare], float | None],
    caption: str,
    *,
    with_floor: bool,
) -> Figure | None:
    series = []
    for v in model.variants:
        found = [(float(c.codebook), value(c)) for c in v.judged.per_codebook]
        values = tuple((x, y) for x, y in found if y is not None and not math.isnan(y))
        if v.usable and values:
            series.append(Series(marks[v.recipe], values))
    if not series:
        return None
    codebooks = sorted({int(x) for s in series for x, _ in s.values})
    floor = _lowest(
        (float(c.codebook), c.floor)
        for v in model.variants
        for c in v.judged.per_codebook
        if with_floor
    )
    return Figure(
        caption,
        agreement_chart(
            series,
            codebook_axis(codebooks),
            name=f"{model.name}: {caption[0].lower()}{caption[1:]}",
            label="token agreement",
            floor=Series(series[0].mark, floor) if floor else None,
        ),
    )


def _lowest(found: Iterable[tuple[float, float | None]]) -> tuple[tuple[float, float], ...]:
    """The lowest value per x, in x order; the variants share one floor or nearly so."""
    least: dict[float, float] = {}
    for x, value in found:
        if value is not None:
            least[x] = min(value, least.get(x, value))
    return tuple(sorted(least.items()))


def _mask_ratios(model: Model, marks: dict[str, Mark]) -> Figure | None:
    series = []
    for v in model.variants:
        found = [(m.mask_ratio, m.agreement) for m in v.judged.per_mask_ratio]
        values = tuple(sorted((x, y) for x, y in found if y is not None and not math.isnan(y)))
        if v.usable and values:
            series.append(Series(marks[v.recipe], values))
    if not series:
        return None
    floors = _lowest(
        (m.mask_ratio, m.floor) for v in model.variants for m in v.judged.per_mask_ratio
    )
    overall = [v.judged.floor for v in model.variants if v.judged.floor is not None]
    if not floors and overall:
        floors = ((0.0, min(overall)), (1.0, min(overall)))
    floor = Series(series[0].mark, floors) if floors else None
    return Figure(
        "Agreement per mask ratio",
        agreement_chart(
            series,
            mask_ratio_axis(),
            name=f"{model.name}: agreement per mask ratio",
            label="token agreement",
            floor=floor,
        ),
    )


def _time_text(name: str, profile: Measurement) -> str:
    spread = (
        f", p10 to p90 {seconds_range(profile.p10_s, profile.p90_s)}"
        if profile.p10_s is not None and profile.p90_s is not None
        else ""
    )
    return f"{name}: median {seconds_text(profile.median_s)}{spread}"
