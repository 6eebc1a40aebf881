"""Variants that a run searches for itself: mixtures within what is asked of its sets."""

from __future__ import annotations

from dataclasses import replace

from calibration.feeds.chain_inputs import ChainInputs
from optimize.options import TUNED, TUNED_SMALL
from optimize.truth.status import NO_BOUNDS
from optimize.tuning.candidates import TunedModel, candidates_of
from optimize.tuning.goal import SearchGoal
from optimize.tuning.search import sets_of
from optimize.tuning.tune import HeldOut
from optimize.variant import read_record, record_path, write_record
from profiles.place import cpu
from vampbench.work.asked import Job
from vampbench.work.workspace import Workspace
from vampnet_models.errors import PromiseMissed, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, copy_model, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.results import Variant
from vampnet_models.records.tuning import Candidate
from vampnet_models.spec import Role


def tuned_variants(
    artifact: Artifact, job: Job, space: Workspace, inputs: ChainInputs, reporter: Reporter
) -> tuple[Variant, ...]:
    """The mixtures of one model, not verified yet; none where the job does not ask for them.

    Where nothing is found, or there are too few recordings to tell, the variant says why.
    """
    if not job.tune:
        return ()
    goal, cache = _goal(job, artifact.role), space.work()
    try:
        with contained():
            tuned = candidates_of(artifact, inputs, cache, goal, reporter, recipes=())
            held_out = HeldOut({artifact.name: tuned}, inputs.evaluation, cache, reporter)
            found = [
                held_out.settle(sets_of, replace(goal, max_latency=most))[0] for most in (1.0, None)
            ]
    except PromiseMissed as error:
        reporter.warn(str(error))
        return (Variant(TUNED, "not-applicable", reason=str(error)),)
    except WorkbenchError as error:
        reporter.warn(f"{artifact.name}: {TUNED} failed: {error}")
        return (Variant(TUNED, "failed", reason=str(error)),)
    parts = {
        name: each.parts[0]
        for name, each in zip((TUNED, TUNED_SMALL), found, strict=True)
        if each is not None
    }
    if not parts:
        why = f"no mixture is shown to hold {job.criterion.name}"
        return (Variant(TUNED, "not-applicable", reason=why),)
    if len(parts) == 2 and parts[TUNED].recipe == parts[TUNED_SMALL].recipe:
        del parts[TUNED_SMALL]
    return tuple(_published(tuned, part, name, space) for name, part in parts.items())


def _goal(job: Job, role: Role) -> SearchGoal:
    """What the job asks of its sets, for one model."""
    asked, bounds = job.criterion, job.criterion.bounds
    tokens_alone = replace(bounds, min_agreement=None) == NO_BOUNDS
    without_tokens = tokens_alone and role in (Role.CODEC_DECODER, Role.GENERIC)
    graded = asked.both or bounds == NO_BOUNDS or without_tokens
    return SearchGoal(
        min_agreement=bounds.min_agreement,
        min_si_sdr_db=None,
        max_bytes=None,
        # Mixtures near the bound are sought for their time too.
        max_latency=1.0,
        prefer="smallest",
        grade=asked.grade.name if graded else None,
        min_sampled=bounds.min_sampled,
        max_cost_nats=bounds.max_cost_nats,
        max_cost_db=bounds.max_cost_db,
        target=cpu(job.threads),
        threads=job.threads,
    )


def _published(tuned: TunedModel, part: Candidate, name: str, space: Workspace) -> Variant:
    """Copy a mixture with its record to where the run's variants lie."""
    source = open_artifact(tuned.built[part.recipe])
    path = copy_model(source, space.variant(name, part.model).parent)
    record = read_record(record_path(source.path))
    write_record(record, record_path(path))
    where = str(path.relative_to(space.root))
    return Variant(name, "ok", path=where, bytes=part.bytes, record=record)
