"""What the documents quote of runs: kept in docs/*-results.json and bench/results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from docs.cells import ACCURACY, Json
from vampnet_models.chain.builtin import DECISION_NAME
from vampnet_models.records.generic import as_json
from vampnet_models.records.host import Host
from vampnet_models.records.profiles import Profile, measured_on
from vampnet_models.records.results import Model, Results

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
                "accuracy": {key: (as_json(variant.accuracy) or {}).get(key) for key in ACCURACY},
                "cpu": _cpu(variant.profiles),
            }
            for variant in model.variants
        ],
    }


def _cpu(profiles: Mapping[str, Profile]) -> Json | None:
    found = measured_on(profiles, "cpu")
    keys = ("median_s", "ratio_to_reference", "ratio_interval", "verdict", "noisy", "threads")
    return None if found is None else {key: as_json(getattr(found, key)) for key in keys}
