"""The whole search: candidates per model, a set within the budget, a held-out verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.feeds.chain_feeds import Encoded
from calibration.feeds.chain_inputs import ChainInputs
from calibration.feeds.model_feeds import LARGE_BYTES
from optimize.recipes import searched_recipes
from optimize.truth.accuracy import Truth, reference_truth
from optimize.truth.free_running import floor_session, free_runs
from optimize.truth.grades import Judgement, grades_held
from optimize.tuning.candidates import TunedModel, accuracy_of, candidates_of
from optimize.tuning.goal import SearchGoal, figures_of
from optimize.tuning.search import Budget, ModelSet, choose, sets_of, uniform_sets
from optimize.tuning.shared_budget import spend
from optimize.tuning.worth import reverted
from vampnet_models.cache import key_of
from vampnet_models.chain.members import in_turn
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import AccuracyReport, FreeRunning
from vampnet_models.records.files import remembered_record
from vampnet_models.records.tuning import Candidate, Reverted
from vampnet_models.repair.layouts import logits_name
from vampnet_models.spec import Role

_FREE_CLIPS = 4
FREE_FRAMES, LARGE_FREE_FRAMES = 260, 100
"""Prompts of the free run: three seconds of each clip, one of a large model's."""


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        tuned: by name, each model with all that was measured of it.
        sets: every combination of candidates that nothing dominates, on the search's feeds.
        chosen: the best set within the budget, with its figures on held-out data; None where
            nothing keeps to the budget.
        uniform: the same of the sets of one recipe for all models.
        reverted: candidates that were chosen first and did not hold on held-out data.
        short: what the best set found lacks of the grade or costs that were asked for; None where
            one was chosen, or nothing of the kind was asked for.
        held_out: gives more figures on held-out data.
    """

    tuned: dict[str, TunedModel]
    sets: list[ModelSet]
    chosen: ModelSet | None
    uniform: ModelSet | None
    reverted: list[Reverted]
    short: str | None
    held_out: HeldOut


def tune(
    artifacts: Sequence[Artifact],
    inputs: ChainInputs,
    cache: Path,
    goal: SearchGoal,
    reporter: Reporter,
) -> Search:
    """Search each model alone, then what they share, and judge the best sets on held-out data.

    What was measured lies in the folder `cache`, for a search that goes on where one stopped.

    Raises InputError when a model cannot be fed or run, PromiseMissed when nothing can be made of
    one, or so little audio is there that no cost could be shown.
    """
    tuned: dict[str, TunedModel] = {}
    for artifact in in_turn(artifacts, reporter):
        recipes = searched_recipes(native=goal.native)
        tuned[artifact.name] = candidates_of(artifact, inputs, cache, goal, reporter, recipes)
        reporter.tell_kept()
    reporter.plan(0)
    spend(tuned, cache, goal, reporter)
    held_out = HeldOut(tuned, inputs.evaluation, cache, reporter)
    reporter.note("checking sets on held-out data, the best first")
    chosen, dropped = held_out.settle(sets_of, goal)
    uniform, _ = held_out.settle(uniform_sets, goal)
    sets = sets_of({name: each.candidates for name, each in tuned.items()})
    short = None if chosen is not None else held_out.falls_short(sets, goal)
    return Search(tuned, sets, chosen, uniform, dropped, short, held_out)


class HeldOut:
    """Numbers on the audio that nothing was chosen on, found where they are asked for."""

    def __init__(
        self, tuned: Mapping[str, TunedModel], heard: Encoded, cache: Path, reporter: Reporter
    ) -> None:
        self._tuned, self._heard, self._cache, self._reporter = tuned, heard, cache, reporter
        self._truths: dict[str, Truth] = {}

    def accuracy(self, candidate: Candidate) -> AccuracyReport:
        """The comparison on the evaluation feeds."""
        tuned = self._tuned[candidate.model]

        def truth() -> Truth:
            if candidate.model not in self._truths:
                with self._reporter.task(f"{candidate.model}: reference answers") as update:
                    self._truths[candidate.model] = reference_truth(
                        tuned.artifact,
                        tuned.evaluation.feeds,
                        update,
                        sources=tuned.evaluation.sources,
                        evidence=tuned.evidence,
                    )
            return self._truths[candidate.model]

        judged_on = key_of(tuned.evaluation.sha256, tuned.evidence.sha256)
        return accuracy_of(tuned, candidate.recipe, judged_on, truth, self._cache, self._reporter)

    def free_running(self, candidate: Candidate) -> FreeRunning | None:
        """Transformers left to themselves from the same prompts and seeds, and the floor's run."""
        tuned = self._tuned[candidate.model]
        artifact, role = tuned.artifact, tuned.artifact.role
        if role not in (Role.COARSE, Role.C2F) or logits_name(artifact.spec) is None:
            return None
        if not self._heard.codes:
            return None  # a user's own feeds are no beginning of a song
        frames = LARGE_FREE_FRAMES if artifact.bytes >= LARGE_BYTES else FREE_FRAMES
        codes = [each[..., :frames] for each in self._heard.codes[:_FREE_CLIPS]]
        variant = open_artifact(tuned.built[candidate.recipe])
        key = key_of(artifact.sha256, variant.sha256, frames, *(c.tobytes().hex() for c in codes))

        def measure() -> FreeRunning:
            others = {"variant": open_session(variant.path), "floor": floor_session(artifact)}
            with self._reporter.task(f"{candidate.model}: free-running") as update:
                runs = free_runs(role, open_session(artifact.path), others, codes, progress=update)
            return FreeRunning(**runs)

        path = self._cache / "free-running" / candidate.model / f"{key[:16]}.json"
        return remembered_record(FreeRunning, path, key, measure)

    def settle(
        self,
        sets_of: Callable[[Mapping[str, Sequence[Candidate]]], Sequence[ModelSet]],
        goal: SearchGoal,
    ) -> tuple[ModelSet | None, list[Reverted]]:
        """The best set that keeps to the budget here too; what was dropped for not doing so.

        The sets are made anew of what is left: what a dropped candidate dominated counts again.
        """
        dropped: list[Reverted] = []
        refused: set[tuple[str, str]] = set()
        while True:
            left = {
                name: [c for c in each.candidates if (name, c.recipe) not in refused]
                for name, each in self._tuned.items()
            }
            best = choose(sets_of(left), goal.budget, goal.prefer)
            if best is None:
                return None, dropped
            held = ModelSet(tuple(self._judged(p, goal) for p in best.parts))
            judged = (
                reverted(part, goal.budget, self.judgement(part, goal)) for part in held.parts
            )
            failing = [each for each in judged if each is not None]
            if not failing:
                return held, dropped
            refused |= {(each.model, each.recipe) for each in failing}
            dropped += failing

    def judgement(self, candidate: Candidate, goal: SearchGoal) -> Judgement | None:
        """By the grade or costs that were asked for; None without any."""
        role = self._tuned[candidate.model].artifact.spec.role
        return goal.judgement(role, self.accuracy(candidate))

    def falls_short(self, sets: Sequence[ModelSet], goal: SearchGoal) -> str | None:
        """Of the set with the least loss within size and time, what it is and what it lacks.

        None where no grade and no cost was asked for, and where size or time let no set through.
        """
        sizes = Budget(max_bytes=goal.max_bytes, max_latency=goal.max_latency)
        best = choose(sets, sizes, "truest")
        if goal.criterion is None or best is None:
            return None
        recipes = ", ".join(f"{part.model} {part.recipe}" for part in best.parts)
        judged = ((part, self.judgement(part, goal)) for part in best.parts)
        lacks = [
            f"{part.model}: {each.text}"
            for part, each in judged
            if each is not None and each.verdict != "holds"
        ]
        return f"the best found is {'; '.join([recipes, *lacks])}"

    def _judged(self, candidate: Candidate, goal: SearchGoal) -> Candidate:
        accuracy, spec = self.accuracy(candidate), self._tuned[candidate.model].artifact.spec
        return replace(
            candidate,
            **figures_of(spec, accuracy, goal),
            grades=grades_held(spec.role.value, accuracy),
        )
