"""The search of `tune`: candidates per model, a set within the budget, a held-out verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from calibration.feeds.chain_feeds import Encoded
from optimize.truth.accuracy import Truth, reference_truth
from optimize.tuning.search import (
    Candidate,
    ModelSet,
    Prefer,
    choose,
    front,
    nearest,
    rank,
    uniform_sets,
)
from optimize.tuning.search import sets_of as combinations
from optimize.variant import read_record, record_path, write_record
from profiles.report.render import write_report
from vampbench.search.candidates import Tuned, accuracy_of, candidates_of, effects_json
from vampbench.search.quality import first_agreement, loss_of
from vampbench.search.sets import is_noisy
from vampbench.search.shared_budget import spend
from vampbench.search.wish import Wish
from vampbench.search.worth import Reverted, reverted, verdict
from vampbench.work.free_runs import floor_session, free_runs
from vampbench.work.goldens import keep_golden
from vampbench.work.ground import LARGE_BYTES, lay_ground, load_audio
from vampbench.work.job import REFERENCE
from vampbench.work.lengths import accepted_by
from vampbench.work.models import in_turn, open_all
from vampbench.work.provenance import provenance_of
from vampbench.work.results import results_of
from vampbench.work.runtime import check_variants
from vampbench.work.workspace import Json, Workspace, key_of, relative_to, remembered
from vampnet_models.onnxfile.artifact import (
    check_output,
    copy_model,
    load_model,
    open_artifact,
    write_text,
)
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.repair.layouts import logits_name
from vampnet_models.spec import Role

_MAX_FRONT = 12

_FREE_CLIPS = 4
FREE_FRAMES, LARGE_FREE_FRAMES = 260, 100
"""Prompts of the free run: three seconds of each clip, one of a large model's."""


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
    tuned: dict[str, Tuned] = {}
    for artifact in in_turn(artifacts, voice):
        tuned[artifact.name] = candidates_of(artifact, ground, space, wish, voice)
        voice.tell_kept()
    voice.plan(0)
    spend(tuned, space, wish, voice)
    candidates = {name: found.candidates for name, found in tuned.items()}
    sets = combinations(candidates)
    judge = _HeldOut(tuned, ground.evaluation, space, voice)
    voice.note("checking sets on held-out audio, the best first")
    chosen, dropped = judge.settle(sets, wish)
    uniform, _ = judge.settle(uniform_sets(candidates), wish)
    budget = wish.budget
    result: Json = {
        "schema": 1,
        "command": command,
        "wish": {k: v for k, v in asdict(wish).items() if k != "target"},
        "target": wish.target.name,
        "met": chosen is not None,
        "chosen": None if chosen is None else _set_json(chosen),
        "uniform": _uniform_json(uniform),
        "verdict": verdict(chosen, uniform, wish.prefer).as_json(),
        "reverted": [each.as_json() for each in dropped],
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
        models = [_publish(tuned[p.model], p, judge, out, voice) for p in chosen.parts]
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


class _HeldOut:
    """Numbers on the audio that nothing was chosen on, found where they are asked for."""

    def __init__(
        self, tuned: Mapping[str, Tuned], heard: Encoded, space: Workspace, voice: Reporter
    ) -> None:
        self._tuned, self._heard, self._space, self._voice = tuned, heard, space, voice
        self._truths: dict[str, Truth] = {}

    def accuracy(self, candidate: Candidate) -> Json:
        """The comparison on the evaluation feeds."""
        found = self._tuned[candidate.model]
        path = found.built[candidate.recipe]

        def truth() -> Truth:
            if candidate.model not in self._truths:
                with self._voice.task(f"{candidate.model}: reference tokens") as update:
                    self._truths[candidate.model] = reference_truth(
                        found.artifact, found.evaluation.feeds, update
                    )
            return self._truths[candidate.model]

        return accuracy_of(found, path, found.evaluation, truth, self._space, self._voice)

    def free_running(self, candidate: Candidate) -> Json | None:
        """Transformers left to themselves from the same prompts and seeds, and the floor's run."""
        found = self._tuned[candidate.model]
        artifact, role = found.artifact, found.artifact.role
        if role not in (Role.COARSE, Role.C2F) or logits_name(artifact.spec) is None:
            return None
        frames = LARGE_FREE_FRAMES if artifact.bytes >= LARGE_BYTES else FREE_FRAMES
        codes = [each[..., :frames] for each in self._heard.codes[:_FREE_CLIPS]]
        variant = open_artifact(found.built[candidate.recipe])
        key = key_of(artifact.sha256, variant.sha256, frames, *(c.tobytes().hex() for c in codes))

        def measure() -> Json:
            others = {"variant": open_session(variant.path), "floor": floor_session(artifact)}
            with self._voice.task(f"{candidate.model}: free-running") as update:
                runs = free_runs(role, open_session(artifact.path), others, codes, progress=update)
            return {name: run.as_json() for name, run in runs.items()}

        path = self._space.work("free-running", candidate.model, f"{key[:16]}.json")
        return remembered(path, key, measure)

    def settle(
        self, sets: Sequence[ModelSet], wish: Wish
    ) -> tuple[ModelSet | None, list[Reverted]]:
        """The best set that keeps to the budget here too; what was dropped for not doing so."""
        dropped: list[Reverted] = []
        refused: set[tuple[str, str]] = set()
        while True:
            left = [s for s in sets if not refused & {(p.model, p.recipe) for p in s.parts}]
            best = choose(left, wish.budget, wish.prefer)
            if best is None:
                return None, dropped
            held = ModelSet(tuple(self._judged(p) for p in best.parts))
            judged = (reverted(part, wish.budget) for part in held.parts)
            failing = [each for each in judged if each is not None]
            if not failing:
                return held, dropped
            refused |= {(each.part.model, each.part.recipe) for each in failing}
            dropped += failing

    def _judged(self, candidate: Candidate) -> Candidate:
        found = self.accuracy(candidate)
        return replace(
            candidate,
            loss=loss_of(found),
            agreement=found["token_agreement"],
            si_sdr_db=found["si_sdr_db"],
            first_agreement=first_agreement(self._tuned[candidate.model].artifact.role, found),
        )


def _publish(found: Tuned, part: Candidate, judge: _HeldOut, out: Path, voice: Reporter) -> Json:
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
        "accuracy": judge.accuracy(part),
        "profiles": found.profiles[part.recipe],
        "record": asdict(read_record(record_path(path))),
    }
    check_variants([variant], out, found.evaluation.feeds[0], voice)
    keep_golden(found.artifact, found.evaluation, Workspace(out))
    return {
        "name": found.artifact.name,
        "blocks": effects_json(found, part.recipe),
        "free_running": judge.free_running(part),
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
