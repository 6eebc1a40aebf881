"""results.json into a Run; every field may be missing, none may be of the wrong type."""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecodeError
from pathlib import Path

from profiles.report.views.fields import Record
from profiles.report.views.run import (
    Accuracy,
    AudioFile,
    AudioSet,
    BeatAgreement,
    Block,
    BlockOption,
    Chain,
    CodebookAgreement,
    FeedCoverage,
    FloatKernels,
    FloatNode,
    Kind,
    MaskRatioAgreement,
    Model,
    Outside,
    Problem,
    Profile,
    Run,
    RuntimeCheck,
    SetOfParts,
    Unmatched,
    Variant,
)
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.spec import Role

_SCHEMA = 1
_STATUSES = ("ok", "missed", "failed", "not-applicable")


def load_results(path: Path) -> dict[str, object]:
    """The content of a results.json. Raises InputError when it cannot be read as one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the results.json of a run") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read it: {error}; give a results.json") from error
    try:
        results = parse_json(text)
    except ValueError as error:
        at = f"line {error.lineno}: {error.msg}" if isinstance(error, JSONDecodeError) else error
        raise InputError(
            f"{path}: not JSON ({at}); run again, or give the results.json of a run"
        ) from error
    if not isinstance(results, dict):
        raise InputError(f"{path}: holds no results; give the results.json of a run")
    return results


def read_run(results: Mapping[str, object]) -> Run:
    """Read the content of results.json.

    Raises InputError when the schema is another one, or when a field has the wrong type.
    """
    root = Record(results)
    schema = root.count("schema")
    if schema != _SCHEMA:
        raise InputError(
            f"results: schema {schema} is not the {_SCHEMA} that this version reads; "
            "use the version that wrote it, or run again"
        )
    tool, audio_set, totals = root.record("tool"), root.record("audio_set"), root.record("totals")
    return Run(
        version=tool.text("version"),
        command=tool.text("command"),
        created=root.text("created"),
        host=tuple(root.record("host").data.items()),
        models=tuple(_model(m) for m in root.records("models")),
        skipped=tuple(
            (s.need_text("path"), s.text("reason") or "no reason given")
            for s in root.records("skipped")
        ),
        totals=_numbers(totals),
        sets=tuple(
            SetOfParts(s.need_text("name"), _texts(s.record("parts")), s.number("bytes"))
            for s in root.records("sets")
        ),
        chains=tuple(
            Chain(
                c.need_text("name"),
                c.need_text("target"),
                c.number("s_per_10s_of_music"),
                c.texts("assumptions"),
            )
            for c in root.records("chains")
        ),
        audio_set=AudioSet(
            name=audio_set.text("name"),
            sha256=audio_set.text("sha256"),
            calibration_s=audio_set.number("calibration_s"),
            evaluation_s=audio_set.number("evaluation_s"),
            dropped=tuple(
                (d.need_text("name"), d.text("reason") or "no reason given")
                for d in audio_set.records("dropped")
            ),
            warnings=audio_set.texts("warnings"),
        ),
        audio=_audio(root),
    )


def _model(record: Record) -> Model:
    return Model(
        name=record.need_text("name"),
        role=record.text("role") or Role.GENERIC.value,
        source_bytes=record.number("source_bytes"),
        source_sha256=record.text("source_sha256"),
        weights=record.text("weights") or "unknown",
        profiles=_profiles(record),
        variants=tuple(_variant(v) for v in record.records("variants")),
        blocks=tuple(_block(b) for b in record.records("blocks")),
        coverage=_coverage(record.record("coverage")),
        outside=tuple(
            Outside(o.text("recipe") or "?", o.need_text("tensor"), o.number("share"))
            for o in record.record("coverage").records("outside")
        ),
        failed_steps=tuple(
            f"{s.text('step') or 'a step'}: {s.text('reason') or 'no reason given'}"
            for s in record.records("failed_steps")
        ),
        problems=tuple(
            Problem(p.need_text("kind"), p.need_text("text")) for p in record.records("problems")
        ),
    )


def _coverage(record: Record) -> tuple[FeedCoverage, ...]:
    sides = ((side, record.record(side)) for side in ("calibration", "evaluation"))
    return tuple(
        FeedCoverage(
            side,
            found.count("n_feeds"),
            found.numbers("mask_ratios"),
            _numbers(found.record("prompts")),
            found.numbers("entries_seen"),
            _numbers(found.record("lengths")),
            _numbers(found.record("classes")),
            _numbers(found.record("codes_from")),
        )
        for side, found in sides
        if found
    )


def _block(record: Record) -> Block:
    # Runs of earlier versions hold the words alone.
    words = isinstance(record.data.get("why"), str)
    return Block(
        name=record.need_text("block"),
        chosen=record.need_text("chosen"),
        options=tuple(
            BlockOption(
                o.need_text("precision"),
                o.number("damage"),
                o.number("time_ratio"),
                o.number("saved_bytes"),
            )
            for o in record.records("options")
        ),
        why=record.text("why") if words else record.record("why").text("text"),
    )


def _variant(record: Record) -> Variant:
    status = record.need_text("status")
    if status not in _STATUSES:
        raise InputError(f"{record.where}.status: {status!r} is none of {', '.join(_STATUSES)}")
    made = record.record("record")
    return Variant(
        recipe=record.need_text("recipe"),
        path=record.text("path"),
        bytes=record.number("bytes"),
        status=status,
        reason=record.text("reason"),
        accuracy=_accuracy(record.record("accuracy")),
        profiles=_profiles(record),
        float_nodes=(
            *(_node(n, n.text("reason") or "?") for n in made.records("float_nodes")),
            *(
                _node(n, f"{n.text('precision') or 'another precision'}: {n.text('reason') or '?'}")
                for n in made.records("mixed_nodes")
            ),
        ),
        unmatched=tuple(
            Unmatched(u.text("rule") or "?", u.text("node") or "?", u.text("reason") or "?")
            for u in made.records("unmatched")
        ),
        fusions=_numbers(made.record("fusions")),
        precision=_numbers(made.record("precision")),
        warnings=made.texts("warnings"),
        runtime=_runtime(made.record("runtime")),
    )


def _runtime(record: Record) -> RuntimeCheck | None:
    """None for a variant whose graph was not read back."""
    if not record:
        return None
    return RuntimeCheck(
        integer_share=record.number("integer_share"),
        integer_flops=record.number("integer_flops"),
        float_flops=record.number("float_flops"),
        kernels=_counts(record.record("kernels")),
        attention=_counts(record.record("attention")),
        float_kernels=tuple(
            FloatKernels(
                op_type=group.need_text("op_type"),
                reason=group.text("reason") or "?",
                count=len(group.texts("nodes")),
                flops=group.number("flops") or 0.0,
            )
            for group in record.records("float_kernels")
        ),
        dequantized=_counts(record.record("dequantized")),
        upcast_nodes=record.record("upcast").count("nodes"),
        weights_bytes=record.number("weights_bytes"),
        runtime_weights_bytes=record.number("runtime_weights_bytes"),
        unresolved=record.texts("unresolved"),
    )


def _node(record: Record, reason: str) -> FloatNode:
    return FloatNode(record.need_text("node"), record.text("op_type") or "?", reason)


def _accuracy(record: Record) -> Accuracy:
    ties = record.record("near_ties")
    return Accuracy(
        token_agreement=record.number("token_agreement"),
        floor=record.number("floor"),
        interval=record.pair("interval"),
        n_positions=record.count("n_positions"),
        per_codebook=tuple(
            CodebookAgreement(
                codebook=c.count("codebook") or 0,
                agreement=c.number("agreement"),
                floor=c.number("floor"),
                given_earlier=c.number("given_earlier"),
                n_positions=c.count("n_positions"),
            )
            for c in record.records("per_codebook")
        ),
        per_mask_ratio=tuple(
            MaskRatioAgreement(
                mask_ratio=m.number("mask_ratio") or 0.0,
                agreement=m.number("agreement"),
                floor=m.number("floor"),
                n_positions=m.count("n_positions"),
            )
            for m in record.records("per_mask_ratio")
        ),
        per_beat_kind=tuple(
            BeatAgreement(
                kind=b.need_text("kind"),
                recall=b.number("recall"),
                precision=b.number("precision"),
                n_reference=b.count("n_reference"),
                n_variant=b.count("n_variant"),
            )
            for b in record.records("per_beat_kind")
        ),
        near_tie_epsilon=ties.number("epsilon"),
        near_tie_share=ties.number("share"),
        agreement_without_near_ties=ties.number("agreement_excluding"),
        logits_kl=record.number("logits_kl"),
        top5_containment=record.number("top5_containment"),
        si_sdr_db=record.number("si_sdr_db"),
        floor_si_sdr_db=record.number("floor_si_sdr_db"),
        worst_si_sdr_db=record.number("worst_si_sdr_db"),
        log_mel_db=record.number("log_mel_db"),
        snr_db=record.number("snr_db"),
        clipped=record.count("clipped"),
        nonfinite=record.count("nonfinite"),
        notes=record.texts("notes"),
    )


_READ = frozenset(Profile.__dataclass_fields__) | frozenset(
    {"low", "high", "ratio_to_reference", "verdict", "bytes", "warmup_s"}
)
"""Fields of a profile that are read by name, or that say nothing by themselves."""


def _profiles(record: Record) -> dict[str, Profile]:
    return {target: _profile(target, p) for target, p in record.mapped("profiles").items()}


def _profile(target: str, record: Record) -> Profile:
    kinds: dict[str | None, Kind] = {
        "measurement": "measurement",
        "estimate": "estimate",
        "failed": "failed",
    }
    low_s, high_s = record.number("low_s"), record.number("high_s")
    return Profile(
        kind=kinds.get(record.text("kind"), "absent"),
        target=record.text("target") or target,
        median_s=record.number("median_s"),
        p10_s=record.number("p10_s"),
        p90_s=record.number("p90_s"),
        samples_s=record.numbers("samples_s"),
        yardstick_s=record.numbers("yardstick_s"),
        noisy=record.data.get("noisy") is True,
        session_s=record.number("session_s"),
        first_run_s=record.number("first_run_s"),
        peak_rss_bytes=record.number("peak_rss_bytes"),
        threads=record.count("threads"),
        ratio=record.number("ratio_to_reference"),
        ratio_interval=record.pair("ratio_interval"),
        ratio_verdict=record.text("verdict"),
        low_s=record.number("low") if low_s is None else low_s,
        high_s=record.number("high") if high_s is None else high_s,
        assumptions=record.texts("assumptions"),
        reason=record.text("reason"),
        remedy=record.text("remedy"),
        notes=record.texts("notes"),
        warnings=record.texts("warnings"),
        extra=Record(
            {k: v for k, v in record.data.items() if k not in _READ and v is not None},
            record.where,
        ),
    )


def _audio(root: Record) -> tuple[AudioFile, ...]:
    listed = root.data.get("audio")
    if isinstance(listed, list) and all(isinstance(a, str) for a in listed):
        return tuple(AudioFile(path, path, None) for path in listed)
    return tuple(
        AudioFile(a.need_text("path"), a.text("name") or a.need_text("path"), a.text("note"))
        for a in root.records("audio")
    )


def _numbers(record: Record) -> dict[str, float]:
    found = {key: record.number(key) for key in record.data}
    return {key: value for key, value in found.items() if value is not None}


def _counts(record: Record) -> dict[str, int]:
    found = {key: record.count(key) for key in record.data}
    return {key: value for key, value in found.items() if value is not None}


def _texts(record: Record) -> dict[str, str]:
    return {key: record.need_text(key) for key in record.data if record.data[key] is not None}
