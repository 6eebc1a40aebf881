"""The job of `tune`: a search, and the folder with the models that it chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.lengths import accepted_by
from optimize.tuning.candidates import TunedModel, effects_json
from optimize.tuning.goal import SearchGoal
from optimize.tuning.search import (
    Candidate,
    ModelSet,
    Prefer,
    front,
    nearest,
    rank,
)
from optimize.tuning.tune import HeldOut, tune
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
from vampnet_models.records import files
from vampnet_models.records.generic import RESULTS

_MAX_FRONT = 12


def tune_set(
    paths: tuple[Path, ...],
    out: Path,
    audio: Path | None,
    evaluation_audio: Path | None,
    goal: SearchGoal,
    command: str,
    reporter: Reporter,
) -> Json:
    """Search, choose, verify and write; the contents of tune.json.

    `command` is what the user typed, for the record.

    Raises InputError when a model cannot be read or fed, or when there is no usable audio.
    """
    space = Workspace(out)
    artifacts, skipped = open_all(paths, reporter)
    check_output(space.results, *paths)
    heard = load_audio(audio, reporter, evaluation_audio)
    space.open()
    inputs = prepare_inputs(artifacts, heard, space.work(), goal.threads, reporter)
    search = tune(artifacts, inputs, space.work(), goal, reporter)
    tuned, sets, chosen = search.tuned, search.sets, search.chosen
    budget = goal.budget
    result: Json = {
        "schema": 1,
        "command": command,
        "wish": {k: v for k, v in asdict(goal).items() if k != "target"},
        "target": goal.target.name,
        "met": chosen is not None,
        "chosen": None if chosen is None else _set_json(chosen),
        "uniform": _uniform_json(search.uniform),
        "verdict": verdict(chosen, search.uniform, goal.prefer).as_json(),
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
        models = [_publish(tuned[p.model], p, search.held_out, out, reporter) for p in chosen.parts]
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
        results = results_of(result["command"], inputs, models, skipped, space, reporter)
        files.write_record(results, RESULTS, space.results)
        write_report(space.results, space.report)
    elif space.results.is_file():
        reporter.warn(f"{out} still holds the models and the report of an earlier search")
    write_text(out / "tune.json", json.dumps(result, indent=1, allow_nan=False))
    return result


def _publish(
    tuned: TunedModel, part: Candidate, held_out: HeldOut, out: Path, reporter: Reporter
) -> Json:
    """Copy a chosen variant with its record to OUT; the model's entry of results.json."""
    source = open_artifact(tuned.built[part.recipe])
    path = copy_model(source, out)
    write_record(read_record(record_path(source.path)), record_path(path))
    variant: Json = {
        "recipe": part.recipe,
        "path": path.name,
        "bytes": part.bytes,
        "status": "ok",
        "reason": None,
        "accuracy": held_out.accuracy(part),
        "profiles": tuned.profiles[part.recipe],
        "record": asdict(read_record(record_path(path))),
    }
    check_variants([variant], out, tuned.evaluation.feeds[0], reporter)
    keep_golden(tuned.artifact, tuned.evaluation, Workspace(out))
    return {
        "name": tuned.artifact.name,
        "blocks": effects_json(tuned, part.recipe),
        "free_running": held_out.free_running(part),
        "role": tuned.artifact.role.value,
        "path": relative_to(out, tuned.artifact.path),
        "source_bytes": tuned.artifact.bytes,
        "source_sha256": tuned.artifact.sha256,
        **_provenance(tuned),
        "lengths": accepted_by(tuned.artifact),
        "profiles": tuned.profiles[REFERENCE],
        "coverage": {
            "calibration": asdict(tuned.calibration.coverage()),
            "evaluation": asdict(tuned.evaluation.coverage()),
        },
        "variants": [variant],
    }


def _provenance(tuned: TunedModel) -> Json:
    return provenance_of(load_model(tuned.artifact.path))


def _best(sets: Sequence[ModelSet], prefer: Prefer) -> ModelSet:
    return min(sets, key=lambda s: rank(s, prefer))


def _thinned(sets: Sequence[ModelSet]) -> list[ModelSet]:
    step = max(1, -(-len(sets) // _MAX_FRONT))
    return [*sets[:-1:step], sets[-1]]


def _uniform_json(uniform: ModelSet | None) -> Json | None:
    if uniform is None:
        return None
    return {"recipe": uniform.parts[0].recipe, **_set_json(uniform)}


def _set_json(chosen: ModelSet) -> Json:
    return {
        "bytes": chosen.bytes,
        "agreement": chosen.agreement,
        "first_agreement": chosen.first_agreement,
        "si_sdr_db": chosen.si_sdr_db,
        "latency": chosen.latency,
        "loss": chosen.loss,
        "parts": [asdict(part) for part in chosen.parts],
    }
