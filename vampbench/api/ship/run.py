"""The whole way: models in; variants, accuracy, profiles, results and a report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optimize.recipes import EVERY_RECIPE, RECIPES, find_recipe
from profiles.host import describe_host, saturation
from profiles.targets.order import check_cores, parse_targets, profilers
from vampbench.api.bounds import FEWEST_ROUNDS, MOST_ROUNDS, check_threads, check_within, typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.models import Models
from vampbench.api.progress import Heard, Listener
from vampbench.api.ship.asked import as_criterion
from vampbench.api.ship.folder import JobFolder
from vampbench.api.ship.given import given_models
from vampbench.work.asked import Job
from vampbench.work.cluster import on_cluster
from vampbench.work.job import run_job
from vampbench.work.results import missed_of
from vampnet_models.errors import InputError
from vampnet_models.native.library import build_library
from vampnet_models.records.results import GradeName, Results
from vampnet_models.text import a_type

MAIN_RECIPES = tuple(recipe.name for recipe in RECIPES)
"""What is made, unless others are asked for."""

ALL_TARGETS = ",".join(each.name for each in profilers())
"""Where it is profiled, unless elsewhere is asked for."""


@dataclass(frozen=True)
class RunResult(JobFolder):
    """What a run did, and where it lies.

    Attributes:
        output: its folder; the variants lie below it.
        results: all that it found; the contents of results.json.
        missed: what was not done as it was asked, a line each: a model that cannot be read, a step
            or a variant that failed, a bound that was missed. Empty where all was.
        warnings: what to beware of, a line each; none by default.
    """

    results: Results = field(repr=False)
    missed: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything was done as it was asked."""
        return not self.missed

    def _repr_html_(self) -> str:
        # A report's tools are imported where one is shown: a run has loaded enough.
        from vampbench.api.show import html_of

        where = (f"report: {self.report_path}", *self.missed)
        return "".join(html_of(m, m.name, where, self.warnings) for m in self.results.models)


@typed
def run(
    models: Models | None,
    output: str | Path,
    *,
    data: AnyData = None,
    evaluation: AnyData = None,
    recipes: str | Sequence[str] = MAIN_RECIPES,
    targets: str = ALL_TARGETS,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
    grade: GradeName | None = None,
    threads: int = 0,
    rounds: int = 20,
    operators: bool = False,
    tune: bool = False,
    song: bool = False,
    time_again: bool = False,
    scheduler: str | None = None,
    command: str = "vampbench.run",
    progress: Listener = None,
) -> RunResult:
    """Make, verify and profile every variant of the models, and write it all to `output`.

    `models` are the built-in ones where None is given. `data` is as `build` and `verify` take it:
    its first half calibrates, its second judges; with `evaluation` all of it calibrates, and that
    judges. `recipes` are names, or words separated by commas; `targets` are such words,
    as `profile` takes them. `operators` also times each operator, and cold starts. `tune` also
    searches a mixture of precisions for each model within the grade or bounds: the variants
    `tuned`, no slower than FP32 on this CPU, and `tuned-small`, where a slower one is smaller.
    `song` also lets transformers and the decided sets play 24 pieces with FP32's seeds: how much is
    the same, and is the rest worse? `time_again` times once more what an earlier run timed;
    `scheduler`, dask://HOST:PORT, sends the work to a Dask cluster, but no search. `command` is
    what the record says was called.

    What is decided (`results.decision`, by target) holds `grade`, `harmless` by default, or bounds
    in its place, which are those of `verify`: least token agreement and sampled agreement (shares),
    most cost of the transformers (nats per token) and of the codec (dB log-mel).

    An interrupted run goes on where it stopped when it is called again; what is done is kept. What
    fails or misses one of the bounds stands in `missed`: nothing is
    raised for it. Raises InputError when nothing can be done: no readable model, no usable data, an
    `output` that cannot be written, no transformer or no recording for a song.
    """
    heard, out, source = Heard(progress), Path(output), as_source(data, evaluation)
    if time_again and scheduler is not None:
        raise InputError("timing again: not with a scheduler; leave one of them out")
    if tune and scheduler is not None:
        raise InputError("tune: not with a scheduler; leave one of them out")
    criterion = as_criterion(grade, min_agreement, min_sampled, max_cost, max_cost_db)
    check_within("rounds", rounds, FEWEST_ROUNDS, MOST_ROUNDS, whole=True)
    check_threads(threads)
    chosen = parse_targets(targets)
    if scheduler is None:
        check_cores(chosen)
    names = _recipes(recipes)
    if any(find_recipe(name).is_native for name in names):
        if scheduler is not None:
            raise InputError("native recipes: not with a scheduler; leave one of them out")
        build_library()
    ahead = on_cluster(scheduler) if scheduler is not None else None
    paths, source = given_models(models, out, source, heard)
    job = Job(
        models=paths,
        out=out,
        command=command,
        source=source,
        recipes=names,
        targets=chosen,
        criterion=criterion,
        threads=threads,
        rounds=rounds,
        operators=operators,
        scheduler=scheduler or "",
        time_again=time_again,
        tune=tune,
        song=song,
    )
    results = run_job(job, heard, ahead)
    records = [v.record for m in results.models for v in m.variants if v.record is not None]
    if scheduler is None and (why := saturation(records, describe_host())) is not None:
        heard.warn(why)
    missed = (*missed_of(results), *heard.errors)
    return RunResult(out, results, missed, tuple(heard.warnings))


def _recipes(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """The choice in the recipes' own order. Raises InputError that lists them."""
    words = wanted.split(",") if isinstance(wanted, str) else wanted
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise InputError(f"recipes: is {a_type(wanted)}; give names, or words with commas")
    asked = {word.strip() for word in words if word.strip()}
    names = tuple(recipe.name for recipe in EVERY_RECIPE)
    unknown = sorted(asked - set(names))
    if unknown or not asked:
        what = f"{', '.join(unknown)}: no such recipe" if unknown else "no recipe given"
        raise InputError(f"{what}; choose from {', '.join(names)}")
    for name in sorted(asked):
        if (beside := find_recipe(name).portable) not in asked:
            raise InputError(f"{name}: its portable model lies beside it; add {beside}")
    return tuple(name for name in names if name in asked)
