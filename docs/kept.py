"""What the documents quote of runs: kept in docs/*-results.json and bench/results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from docs.cells import ACCURACY, FIGURES, OF_A_FIGURE, Json
from optimize.truth.grades import grades_held
from vampnet_models.chain.builtin import DECISION_NAME
from vampnet_models.records.accuracy import AccuracyReport, Figure, FreeRunning
from vampnet_models.records.generic import as_json
from vampnet_models.records.host import Host
from vampnet_models.records.profiles import Profile, measured_on
from vampnet_models.records.results import DecidedSet, Decision, Model, Results
from vampnet_models.records.tuning import CandidateSet, Tuning

DOCS = Path(__file__).resolve().parent
BENCH = DOCS.parent / "bench" / "results"
LATENCY = BENCH / "latency.json"
REFERENCE = DOCS.parent / "vampnet_models" / "reference"
DECISION = REFERENCE / DECISION_NAME
CARD = REFERENCE / "MODEL_CARD.md"
RUNS = ("demo", "recordings", "full-size")
RECORDS = {
    **{run: DOCS / f"{run}-results.json" for run in (*RUNS, "tune", "notes")},
    "decision": DECISION,
    "accuracy": BENCH / "accuracy.json",
    "accuracy-full": BENCH / "accuracy_full.json",
    "tune-full": BENCH / "tune_full_size.json",
    "full-size-files": BENCH / "full_size.json",
    "latency": LATENCY,
    "latency-zen4": BENCH / "latency_zen4.json",
    "latency-emerald": BENCH / "latency_emerald.json",
    "latency-zen3": BENCH / "latency_zen3.json",
    "music": BENCH / "music.json",
    "reference": BENCH / "reference.json",
    "calibration": BENCH / "calibration.json",
    "qnn": BENCH / "qnn.json",
    "arm64": BENCH / "arm64.json",
    "efficiency": BENCH / "efficiency.json",
}
"""Those in bench/results are written by the modules of `bench` themselves, the notes by hand."""


def kept(run: str) -> Json:
    """What is quoted of a run."""
    found: Json = json.loads(RECORDS[run].read_text(encoding="utf-8"))
    return found


def all_kept() -> dict[str, Json]:
    """Every record, by its name."""
    return {run: kept(run) for run in RECORDS}


def trimmed(results: Results) -> Json:
    """What is quoted of a results.json: no paths, no raw samples."""
    audio, host = as_json(results.audio_set), as_json(results.host or Host())
    return {
        "created": results.created,
        "took_s": round(sum(step.took_s for step in results.steps)),
        "host": {key: host[key] for key in ("cpu", "cores", "os", "python", "versions")},
        "audio_set": {key: audio[key] for key in ("name", "calibration_s", "evaluation_s")},
        "source_bytes": results.source_bytes,
        "models": [_model(model) for model in results.models],
        "totals": results.totals,
        "sets": as_json(results.sets),
        "song_prompts": as_json(results.song_prompts),
        "decision": {target: _decided(each) for target, each in results.decision.items()},
    }


def _model(model: Model) -> Json:
    return {
        "name": model.name,
        "role": model.role,
        "weights": model.weights,
        "source_bytes": model.source_bytes,
        "cpu": _cpu(model.profiles),
        "variants": [
            {
                "recipe": variant.recipe,
                "status": variant.status,
                "bytes": variant.bytes,
                "accuracy": _accuracy(variant.judged),
                "grades": list(grades_held(model.role, variant.judged)),
                "cpu": _cpu(variant.profiles),
            }
            for variant in model.variants
        ],
    }


_OF_A_SET = ("bytes", "agreement", "first_agreement", "si_sdr_db", "latency", "grades")
_FIGURES_OF_A_SET = ("sampled_agreement", "cost_nats", "cost_log_mel_db")
_NOT_ASKED = ("rounds", "threads")
"""What a search was told beside what was asked of its set."""


def trimmed_search(found: Tuning, results: Results | None) -> Json:
    """What is quoted of a tune.json, and of the results.json beside it.

    There is none of a search that found nothing: it has no models either.
    """
    beside = {} if results is None else {model.name: model for model in results.models}
    decided = None if results is None else results.decision.get(found.target)
    uniform = found.uniform
    return {
        "wish": {k: v for k, v in as_json(found.wish).items() if k not in _NOT_ASKED},
        "verdict": found.verdict.text,
        "source_bytes": sum(model.source_bytes or 0 for model in beside.values()) or None,
        "chosen": None
        if found.chosen is None
        else _set(found.chosen, found.noisy, None if decided is None else decided.smallest),
        "uniform": None
        if uniform is None
        else {"recipe": uniform.recipe, **_set(uniform, found.noisy, None)},
        "models": [
            {
                "name": model.name,
                "role": model.role,
                "recipe": model.recipe,
                "bytes": model.bytes,
                "source_bytes": beside[model.name].source_bytes,
                "accuracy": _accuracy(model.accuracy),
                "grades": list(model.grades),
                "cpu": _cpu(beside[model.name].variants[0].profiles),
                "free_running": _runs(model.free_running),
                "precisions": dict(Counter(block.chosen for block in model.blocks)),
            }
            for model in found.models
        ],
    }


def _set(found: CandidateSet, noisy: bool, timed: DecidedSet | None) -> Json:
    """Of a set of a search; `timed` is the same with the interval of its time, where that is known.

    Without it, its time is as `noisy` as those of the whole search.
    """
    high = None if timed is None else timed.time_ratio_high
    return {
        **{key: as_json(getattr(found, key)) for key in _OF_A_SET},
        **{key: _figure(getattr(found, key)) for key in _FIGURES_OF_A_SET},
        "latency_high": high,
        "noisy": noisy if timed is None or high is None else timed.noisy,
    }


def _figure(found: Figure | None) -> Json | None:
    return None if found is None else _without_details(as_json(found))


def _runs(found: FreeRunning | None) -> Json | None:
    return None if found is None else {"variant": found.variant.kept, "floor": found.floor.kept}


def _decided(found: Decision) -> Json:
    sets = {key: as_json(getattr(found, key)) for key in ("smallest", "fastest")}
    for each in sets.values():
        if each is not None and each["song"] is not None:
            each["song"] = _without_details(each["song"])
    return {"grade": found.grade, "unheld": list(found.unheld), **sets}


def _without_details(song: Json) -> Json:
    """Figures are quoted without codebooks, mask ratios and recordings."""
    if "per_codebook" in song:
        return {key: song.get(key) for key in OF_A_FIGURE if key != "per_recording"}
    return {k: _without_details(v) if isinstance(v, dict) else v for k, v in song.items()}


def _accuracy(found: AccuracyReport) -> Json:
    figures = {key: as_json(getattr(found, key)) for key in FIGURES}
    return {key: as_json(getattr(found, key)) for key in ACCURACY} | {
        name: None if each is None else {key: each.get(key) for key in OF_A_FIGURE}
        for name, each in figures.items()
    }


def _cpu(profiles: Mapping[str, Profile]) -> Json | None:
    found = measured_on(profiles, "cpu")
    keys = ("median_s", "ratio_to_reference", "ratio_interval", "verdict", "noisy", "threads")
    return None if found is None else {key: as_json(getattr(found, key)) for key in keys}
