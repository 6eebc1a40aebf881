"""The best set of models within a budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from optimize.tuning.goal import SearchGoal
from profiles.targets import order
from profiles.targets.cpu_native import CPU_NATIVE
from vampbench.api.bounds import FEWEST_ROUNDS, MOST_ROUNDS, check_threads, check_within, typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.models import Models
from vampbench.api.progress import Heard, Listener
from vampbench.api.ship.asked import as_criterion
from vampbench.api.ship.folder import JobFolder
from vampbench.api.ship.given import given_models
from vampbench.work.tune import tune_set
from vampbench.work.workspace import Workspace
from vampnet_models.native.library import build_library
from vampnet_models.records.results import GradeName
from vampnet_models.records.tuning import Prefer, Tuning
from vampnet_models.text import megabytes, percent

GRADE: GradeName = "harmless"
"""What every model must hold, where no bound is given."""

MIN_SI_SDR_DB = 30.0
"""The least SI-SDR of the decoder's sound, where bounds are given, but none on a cost."""

ROUNDS = 10
"""Timed runs of each candidate, unless more are asked for."""


@dataclass(frozen=True)
class TuneResult(JobFolder):
    """What a search chose, and where it lies.

    Attributes:
        output: its folder, with the models that were chosen; `bundle` packs it.
        tuning: the sets, and why each block got what it got; the contents of tune.json.
        warnings: what to beware of, a line each; none by default.
    """

    tuning: Tuning = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a set meets the budget; else `tuning.nearest` holds those that come near."""
        return self.tuning.met

    @property
    def tuning_path(self) -> Path:
        """tune.json."""
        return Workspace(self.output).tuning

    def _repr_html_(self) -> str:
        # A report's tools are imported where one is shown: a search has loaded enough.
        from vampbench.api.show import text_of

        found, chosen = self.tuning, self.tuning.chosen
        sets = found.nearest if chosen is None else (chosen,)
        parts = (
            f"{part.model}: {part.recipe}, {megabytes(part.bytes)}, {part.time_ratio:.2f} x FP32's "
            f"time, token agreement {percent(part.agreement)}"
            for each in sets
            for part in each.parts
        )
        said = found.verdict.text if self.ok else "nothing meets the budget; the nearest:"
        lines = (said, *parts, *([f"report: {self.report_path}"] if self.ok else []))
        return text_of(f"Tuned: {self.output}", lines, self.warnings)


@typed
def tune(
    models: Models | None,
    output: str | Path,
    *,
    data: AnyData = None,
    evaluation: AnyData = None,
    grade: GradeName | None = None,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
    min_first_agreement: float | None = None,
    min_si_sdr_db: float | None = None,
    max_bytes: int | None = None,
    max_latency: float | None = None,
    prefer: Prefer | None = None,
    target: str = "cpu",
    rounds: int = ROUNDS,
    threads: int = 0,
    command: str = "vampbench.tune",
    progress: Listener = None,
) -> TuneResult:
    """Find a precision for each layer of each model: the best set within a budget.

    `models` are the built-in ones where None is given. Without any bound every model must hold the
    grade `harmless`. In its place, or beside a `grade` that is named, stand bounds as `run` takes
    them: least token agreement and sampled agreement (shares), most cost of the transformers (nats
    per token) and of the codec (dB log-mel). Others are the token agreement of the encoder's first
    four codebooks, the SI-SDR of the decoder's sound against FP32 (30 dB beside bounds that are no
    costs), all bytes of the set, and the time of all models as a multiple of FP32's. `prefer` is
    what to seek within them: `smallest`, `fastest` or `truest`; by default truest where the size is
    bounded, else smallest. `target` is where the set is to run, and candidates are timed: `cpu`;
    `cpu-native`, where models that need the operator library are candidates too (it is built where
    it is not there); or `cuda`, where none quantizes activations. What they say is compared on the
    CPU. One half of `data` is searched on, the other judges what was chosen; with `evaluation` all
    of it is searched on, and that judges. `command` is what the record says was called.

    An interrupted search goes on where it stopped when it is called again. Where nothing meets the
    budget, `ok` is false: nothing is raised for it. Raises PromiseMissed where there are too few
    recordings to tell a cost. Raises InputError for models or data that cannot be used, for bounds
    that contradict each other, for a `target` that is not here, for an `output` that cannot be
    written, and where the operator library is asked for and cannot be built.
    """
    heard, out, source = Heard(progress), Path(output), as_source(data, evaluation)
    # For what it refuses; the goal makes its own, of the defaults too.
    as_criterion(grade, min_agreement, min_sampled, max_cost, max_cost_db)
    check_within("min_first_agreement", min_first_agreement, 0, 1)
    check_within("min_si_sdr_db", min_si_sdr_db)
    check_within("max_bytes", max_bytes, 1, whole=True)
    check_within("rounds", rounds, FEWEST_ROUNDS, MOST_ROUNDS, whole=True)
    check_threads(threads)
    check_within("max_latency", max_latency, 0, above=True)
    costs = (grade, min_sampled, max_cost, max_cost_db)
    others = (min_agreement, min_first_agreement, min_si_sdr_db, max_bytes, max_latency)
    if costs == (None,) * 4:
        if others == (None,) * 5:
            grade = GRADE
        elif min_si_sdr_db is None:
            min_si_sdr_db = MIN_SI_SDR_DB
    timed, place = order.find_timed(target)
    native = timed is CPU_NATIVE
    if native:
        build_library()
    goal = SearchGoal(
        min_agreement=min_agreement,
        min_first_agreement=min_first_agreement,
        min_si_sdr_db=min_si_sdr_db,
        max_bytes=max_bytes,
        max_latency=max_latency,
        prefer=prefer or ("truest" if max_bytes is not None else "smallest"),
        grade=grade,
        min_sampled=min_sampled,
        max_cost_nats=max_cost,
        max_cost_db=max_cost_db,
        target=place,
        native=native,
        integers=timed.multiplies_integers,
        rounds=rounds,
        threads=threads,
    )
    paths, source = given_models(models, out, source, heard)
    tuning = tune_set(paths, out, source, goal, command, heard)
    return TuneResult(out, tuning, tuple(heard.warnings))
