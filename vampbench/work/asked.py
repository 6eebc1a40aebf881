"""What a job is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from calibration.feeds.source import Source
from optimize.recipes import RECIPES
from optimize.truth.grades import Criterion
from profiles.place import Place
from profiles.targets.order import parse_targets, profilers


@dataclass(frozen=True)
class Job:
    """What to do with which models.

    Attributes:
        models: files of float32 models, of one chain or of none.
        out: the folder that receives variants, results and report.
        command: what the user typed, for the record.
        source: where the models' feeds come from; the built-in recordings by default.
        recipes: names, in order; all of the main ones by default.
        targets: where variants are profiled; CPU, CUDA and phones by default.
        criterion: what the sets that are decided on must hold; what misses its bounds, not its
            grade alone, is missed.
        threads: of the runtime; 0, the default, leaves it the choice.
        rounds: timed runs of each variant; 20 by default.
        budget_s: after so many seconds a model's timed runs stop early; 20 by default.
        operators: also measure kernel times, the roofline and the cold start.
        scheduler: the address of a cluster whose machines have measured, not this one.
        time_again: measure once more what was timed on a busy machine; kept by default.
        tune: also search a mixture of precisions for each model.
        song: also let every transformer play, and hold it beside what FP32 plays.
    """

    models: tuple[Path, ...]
    out: Path
    command: str
    source: Source = field(default_factory=Source)
    recipes: tuple[str, ...] = tuple(r.name for r in RECIPES)
    targets: tuple[Place, ...] = parse_targets(",".join(p.name for p in profilers()))
    criterion: Criterion = field(default_factory=Criterion)
    threads: int = 0
    rounds: int = 20
    budget_s: float = 20.0
    operators: bool = False
    scheduler: str = ""
    time_again: bool = False
    tune: bool = False
    song: bool = False
