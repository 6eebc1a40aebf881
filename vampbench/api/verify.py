"""Does a variant say the same as its reference?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from calibration.feeds.lengths import check_fed, in_step
from calibration.feeds.model_evidence import judged_on
from calibration.feeds.source import Source
from optimize.truth.accuracy import Truth, compare, reference_truth
from optimize.truth.golden import load_golden, save_golden
from optimize.truth.status import Bounds, status_of, unbounded
from optimize.variant import read_record, record_path
from profiles.host import describe_host, saturation
from vampbench.api.bounds import check_threads, check_within, typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.interface import check_same_interface
from vampbench.api.models import AnyModel, as_artifact
from vampbench.api.progress import Heard, Listener
from vampbench.work.runtime import Checked, check
from vampnet_models.chain.families import told_by
from vampnet_models.errors import InputError, PromiseMissed, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, check_output
from vampnet_models.onnxfile.portable import stand_in
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Reporter
from vampnet_models.records import results
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.generic import as_json
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import VariantRecord


@dataclass(frozen=True)
class Verification:
    """What a comparison of a variant with its reference found.

    Attributes:
        reference: the model that is the truth.
        variant: the model that was judged.
        status: `ok`; `missed` where a threshold or the recipe's promise was not reached; `failed`
            where outputs are NaN or infinite.
        reason: why it is not ok; None, the default, where it is.
        accuracy: all shares, distances and intervals.
        runtime: what the runtime makes of the variant; None where that cannot be read.
        record: how the variant was made; None where no record lies beside it.
        opened_instead: by `reference` and `variant`, the portable model that was opened in the
            place of one whose operators are not there; empty by default.
        warnings: what to beware of, a line each; none by default.
    """

    reference: Artifact
    variant: Artifact
    status: Literal["ok", "missed", "failed"]
    reason: str | None
    accuracy: AccuracyReport
    runtime: RuntimeFacts | None = None
    record: VariantRecord | None = None
    opened_instead: Mapping[str, Path] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for holds."""
        return self.status == "ok"

    def check(self) -> Self:
        """The verdict itself. Raises PromiseMissed, with the reason, where it is not ok."""
        if not self.ok:
            raise PromiseMissed(f"{self.variant.path}: {self.status}: {self.reason}")
        return self

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `vampbench verify --json` prints them."""
        instead = {role: self.opened_instead.get(role) for role in ("reference", "variant")}
        return {
            "status": self.status,
            "reason": self.reason,
            "opened_instead": {k: None if v is None else str(v) for k, v in instead.items()},
            "accuracy": as_json(self.accuracy),
            "runtime": None if self.runtime is None else asdict(self.runtime),
        }

    def _repr_html_(self) -> str:
        # A report's tools are imported where one is shown: a check shall not load them.
        from vampbench.api.show import html_of

        recipe = self.variant.name if self.record is None else self.record.recipe
        judged = results.Variant(
            recipe=recipe,
            status=self.status,
            path=str(self.variant.path),
            bytes=self.variant.bytes,
            reason=self.reason,
            accuracy=self.accuracy,
            record=self.record,
        )
        model = results.Model(
            self.reference.name,
            self.reference.role.value,
            source_bytes=self.reference.bytes,
            variants=(judged,),
        )
        title = f"{self.variant.path.name} against {self.reference.path.name}: {self.status}"
        instead = (
            f"{path}, the portable model, as the {role}"
            for role, path in self.opened_instead.items()
        )
        return html_of(model, title, (*instead, *self.accuracy.notes), self.warnings)


@typed
def verify(
    reference: AnyModel,
    variant: AnyModel,
    data: AnyData = None,
    *,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
    golden: str | Path | None = None,
    write_golden: str | Path | None = None,
    threads: int = 0,
    progress: Listener = None,
) -> Verification:
    """Compare a variant with its reference on data that nothing was calibrated on.

    `data` is what `split_audio` gives, a folder of recordings, or feeds of the model, which all
    judge: give others than those that calibrated. None takes the built-in recordings. The models
    beside the reference provide its chain. `min_agreement` is the least share of equal tokens, 0 to
    1; `min_sampled` the least lower end of a transformer's sampled agreement, 0 to 1, which too few
    recordings miss. `max_cost`, of a transformer in nats per token, and `max_cost_db`, of an
    encoder or decoder in dB log-mel, are the most that the upper end of the cost may be, which too
    few miss likewise. `golden` judges by the answers in that file, in place of running the
    reference; `write_golden` keeps them. `threads` of the runtime; 0 leaves it the choice. What the
    runtime makes of the variant is noted in its record.

    A threshold that is missed is a status of what is returned: `.check()` raises PromiseMissed.
    Raises InputError where the two are no variants of one model, or cannot be fed.
    """
    heard = Heard(progress)
    check_within("min_agreement", min_agreement, 0, 1)
    check_within("min_sampled", min_sampled, 0, 1)
    check_within("max_cost", max_cost, 0)
    check_within("max_cost_db", max_cost_db, 0)
    check_threads(threads)
    source = as_source(data, judging=True)
    ours, theirs = (as_artifact(each, source.sample_rate_hz) for each in (reference, variant))
    if write_golden is not None:
        check_output(Path(write_golden), ours.path, theirs.path)
    opened = {"reference": stand_in(ours.path), "variant": stand_in(theirs.path)}
    check_same_interface(ours, theirs)
    ours = told_by(ours, [theirs], heard)
    if golden is not None and data is not None:
        raise InputError(f"{golden}: holds its own inputs; leave out audio and feeds")
    if golden is not None:
        truth = load_golden(Path(golden), ours)
        check_fed(Path(golden), truth.feeds, theirs)
    else:
        _tell_calibrated(theirs.path, ours, source, heard)
        truth = _truth(ours, in_step(ours, [theirs], heard), source, threads, heard)
    if write_golden is not None:
        save_golden(truth, Path(write_golden))
    with heard.task("variant answers") as update:
        report = compare(truth, theirs, update)
    bounds = Bounds(min_agreement, min_sampled, max_cost, max_cost_db)
    status, reason = status_of(report, bounds)
    if (why := unbounded(report, bounds)) is not None:
        heard.warn(f"{theirs.path}: {why}")
    runtime = _runtime(theirs, truth.feeds[0], heard)
    record = None if runtime is None else runtime.record
    if record is not None and (why := saturation([record], describe_host())) is not None:
        heard.warn(why)
    if runtime is not None and runtime.missed is not None:
        status = "failed" if status == "failed" else "missed"
        reason = "; ".join(filter(None, (reason, runtime.missed)))
    return Verification(
        reference=ours,
        variant=theirs,
        status=status,
        reason=reason,
        accuracy=report,
        runtime=None if runtime is None else runtime.facts,
        record=record,
        opened_instead={role: path for role, path in opened.items() if path is not None},
        warnings=tuple(heard.warnings),
    )


def _truth(
    ours: Artifact, fed: Artifact, source: Source, threads: int, reporter: Reporter
) -> Truth:
    """The reference's answers to evaluation feeds, of the sizes that `fed` takes."""
    evaluation, evidence = judged_on(ours, source, threads, reporter, fed)
    with reporter.task("reference answers") as update:
        steps = [label.step for label in evaluation.labels]
        return reference_truth(ours, evaluation.feeds, update, steps, evaluation.sources, evidence)


def _tell_calibrated(variant: Path, ours: Artifact, source: Source, reporter: Reporter) -> None:
    """Warn where a variant's record says that what judges it has calibrated it too."""
    try:
        known = read_record(record_path(variant)).calibration
    except InputError:
        return
    if known is None or not (source.feeds or source.evaluation_feeds):
        return
    judging = source.of([ours], Reporter()).judging(ours)
    if judging is None:
        return
    total = len(judging.feeds)
    twice = sum(sha256 in known.samples_sha256 for sha256 in judging.samples_sha256)
    if twice:
        which = "all of it" if twice == total else f"{twice} of {total} samples"
        reporter.warn(
            f"{judging.audio}: calibrated {variant.name} too, {which}; others judge it better"
        )


def _runtime(variant: Artifact, feeds: Feeds, reporter: Reporter) -> Checked | None:
    """What the runtime makes of the variant; None with a warning where that cannot be read."""
    try:
        with contained(), reporter.task("reading the runtime's graph back"):
            return check(variant, feeds)
    except WorkbenchError as error:
        reporter.warn(f"the runtime was not checked: {error}")
        return None
