"""The job of `tune`: a search, and the folder with the models that it chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_inputs import lay_ground
from calibration.feeds.lengths import accepted_by
from optimize.tuning.candidates import Tuned, effects_json
from optimize.tuning.search import (
    Candidate,
    ModelSet,
    Prefer,
    front,
    nearest,
    rank,
)
from optimize.tuning.tune import HeldOut, tune
from optimize.tuning.wish import Wish
from optimize.tuning.worth import verdict
from optimize.variant import read_record, record_path, write_record
from profiles.profile import REFERENCE
from profiles.report.render import write_report
from vampbench.work.goldens import keep_golden
from vampbench.work.results import provenance_of, results_of
from vampbench.work.runtime import check_variants
from vampbench.work.sets import is_noisy
from vampbench.work.workspace import Workspace, relative_to
from vampnet_models.cache import Json
from vampnet_models.chain.members import open_all
from vampnet_models.onnxfile.artifact import (
    check_output,
    copy_model,
    load_model,
    open_artifact,
    write_text,
)
from vampnet_models.progress import Reporter

_MAX_FRONT = 12


def tune_set(
    paths: tuple[Path, ...],
    out: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    wish: Wish,
    command: str,
    voice: Reporter,
) -> Json:
    """Search, choose, verify and write; the contents of tune.json.

    `command` is what the user typed, for the record.

    Raises InputError when a model cannot be read or fed, or when there is no usable audio.
    """
    space = Workspace(out)
    artifacts, skipped = open_all(paths, voice)
    check_output(space.results, *paths)
    heard = load_audio(audio, voice, evaluation_audio)
    space.open()
    ground = lay_ground(artifacts, heard, space.work(), wish.threads, voice)
    search = tune(artifacts, ground, space.work(), wish, voice)
    tuned, sets, chosen = search.tuned, search.sets, search.chosen
    budget = wish.budget
    result: Json = {
        "schema": 1,
        "command": command,
        "wish": {k: v for k, v in asdict(wish).items() if k != "target"},
        "target": wish.target.name,
        "met": chosen is not None,
        "chosen": None if chosen is None else _set_json(chosen),
        "uniform": _uniform_json(search.uniform),
        "verdict": verdict(chosen, search.uniform, wish.prefer).as_json(),
        "reverted": [each.as_json() for each in search.reverted],
        "noisy": any(
            is_noisy({"profiles": each})
            for found in tuned.values()
            for each in found.profiles.values()
        ),
        "smallest": _set_json(_best(sets, "smallest")),
        "fastest": _set_json(_best(sets, "fastest")),
        "front": [_set_json(each) for each in _thinned(front(sets))],
        "nearest": []
        if chosen is not None
        else [{"keeps": keeps, **_set_json(each)} for keeps, each in nearest(sets, budget)],
        "seeded": any(_provenance(each)["weights"] == "seeded" for each in tuned.values()),
        "models": [],
    }
    if chosen is not None:
        models = [_publish(tuned[p.model], p, search.held_out, out, voice) for p in chosen.parts]
        result["models"] = [
            {
                "name": p.model,
                "role": tuned[p.model].artifact.role.value,
                "recipe": p.recipe,
                "bytes": p.bytes,
                "accuracy": model["variants"][0]["accuracy"],
                "free_running": model["free_running"],
                "blocks": model["blocks"],
            }
            for p, model in zip(chosen.parts, models, strict=True)
        ]
        results = results_of(result["command"], ground, models, skipped, space, voice)
        write_text(space.results, json.dumps(results, indent=1, allow_nan=False))
        write_report(space.results, space.report)
    elif space.results.is_file():
        voice.warn(f"{out} still holds the models and the report of an earlier search")
    write_text(out / "tune.json", json.dumps(result, indent=1, allow_nan=False))
    return result


def _publish(found: Tuned, part: Candidate, held_out: HeldOut, out: Path, voice: Reporter) -> Json:
    """Copy a chosen variant with its record to OUT; the model's entry of results.json."""
    source = open_artifact(found.built[part.recipe])
    path = copy_model(source, out)
    write_record(read_record(record_path(source.path)), record_path(path))
    variant: Json = {
        "recipe": part.recipe,
        "path": path.name,
        "bytes": part.bytes,
        "status": "ok",
        "reason": None,
        "accuracy": held_out.accuracy(part),
        "profiles": found.profiles[part.recipe],
        "record": asdict(read_record(record_path(path))),
    }
    check_variants([variant], out, found.evaluation.feeds[0], voice)
    keep_golden(found.artifact, found.evaluation, Workspace(out))
    return {
        "name": found.artifact.name,
        "blocks": effects_json(found, part.recipe),
        "free_running": held_out.free_running(part),
        "role": found.artifact.role.value,
        "path": relative_to(out, found.artifact.path),
        "source_bytes": found.artifact.bytes,
        "source_sha256": found.artifact.sha256,
        **_provenance(found),
        "lengths": accepted_by(found.artifact),
        "profiles": found.profiles[REFERENCE],
        "coverage": {
            "calibration": asdict(found.calibration.coverage()),
            "evaluation": asdict(found.evaluation.coverage()),
        },
        "variants": [variant],
    }


def _provenance(found: Tuned) -> Json:
    return provenance_of(load_model(found.artifact.path))


def _best(sets: Sequence[ModelSet], prefer: Prefer) -> ModelSet:
    return min(sets, key=lambda s: rank(s, prefer))


def _thinned(sets: Sequence[ModelSet]) -> list[ModelSet]:
    step = max(1, -(-len(sets) // _MAX_FRONT))
    return [*sets[:-1:step], sets[-1]]


def _uniform_json(uniform: ModelSet | None) -> Json | None:
    if uniform is None:
        return None
    return {"recipe": uniform.parts[0].recipe, **_set_json(uniform)}


def _set_json(found: ModelSet) -> Json:
    return {
        "bytes": found.bytes,
        "agreement": found.agreement,
        "first_agreement": found.first_agreement,
        "si_sdr_db": found.si_sdr_db,
        "latency": found.latency,
        "loss": found.loss,
        "parts": [asdict(part) for part in found.parts],
    }
