"""What is known about a target, in one record: all that differs from target to target asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from profiles.count.examine import Examined, examine
from profiles.count.packaging import StoreLimit
from profiles.measure.rounds import Plan
from profiles.place import Place
from vampnet_models.family import Family
from vampnet_models.progress import Progress
from vampnet_models.records.manifest import TelemetrySwitch
from vampnet_models.records.profiles import Profile, RuntimeCoverage
from vampnet_models.shapes.tensor_shapes import Shape


@dataclass(frozen=True)
class Request:
    """What a profiler is asked for.

    variants: model files of one role by recipe; the first is the reference of the ratios.
    feeds_path: an .npz file with their inputs, whose shapes are `shapes`.
    place: where to measure.
    plan: how much to measure.
    operators: whether to say where the time goes, too.
    targets: those that share the figures.
    tell: called with how far the work is.
    family: of files that name none; None, the default, where that is unknown.
    seen: what was looked at already, which the places of one call share: weights stay on disk.
    """

    variants: Mapping[str, Path]
    feeds_path: Path
    shapes: Mapping[str, Shape]
    place: Place
    plan: Plan
    operators: bool
    targets: tuple[Target, ...]
    tell: Progress
    family: Family | None = None
    seen: dict[Path, Examined] = field(default_factory=dict)

    def examined(self, path: Path) -> Examined:
        """A variant's graph and its cost at `shapes`. Raises InputError as `examine` does."""
        if path not in self.seen:
            self.seen[path] = examine(path, self.shapes)
        return self.seen[path]


@dataclass(frozen=True)
class Profiler:
    """How figures come about, of one target or of a group that shares them.

    name: what the user types, and the key of the figures in results: the target's or a group's.
    title: its name in a report.
    profile: gives a record for each recipe; one variant that fails does not stop the others.
    remedy: how to get figures where a run has none.
    provider: ONNX Runtime's that is measured; empty where times are estimated.
    takes_threads: whether `name:N` sets the threads.
    """

    name: str
    title: str
    profile: Callable[[Request], dict[str, Profile]]
    remedy: str
    provider: str = ""
    takes_threads: bool = False


def _no_notes(_examined: Examined, _covered: Mapping[str, RuntimeCoverage]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Target:
    """Where models ship to.

    name: what the user types, and the word of every text.
    provider: ONNX Runtime's that models are meant to run on there.
    telemetry: how an app turns telemetry off there.
    profiler: how its figures come about.
    checked_on: the provider of a bundle's self-check.
    why: why the recipes are restricted; None where they are not.
    own_recipes: those that are made for this target alone: no other is advised to ship one.
    recipes: those to choose from; None is every one that is not another target's own.
    codec_recipes: the same for the codec's models, where theirs are others.
    takes_mixtures: whether what `run --tune` found is to choose from beside `recipes`.
    instead: what to choose from where some model of a run has none of `recipes`.
    multiplies_integers: whether it has kernels for products of 8-bit activations and weights.
    takes_ort: whether ORT-format files help there. CUDA and an NPU's compiler want the .onnx file.
    stores: the most that stores take of an app; none where nothing is delivered by one.
    runtimes: those whose operator tables say what a phone takes, first choice first; without one
        nothing is told of that.
    notes: sentences on what this target makes of a graph, by the coverage of each runtime.
    """

    name: str
    provider: str
    telemetry: TelemetrySwitch
    profiler: Profiler
    checked_on: str = "CPUExecutionProvider"
    why: str | None = None
    own_recipes: tuple[str, ...] = ()
    recipes: tuple[str, ...] | None = None
    codec_recipes: tuple[str, ...] | None = None
    takes_mixtures: bool = False
    instead: tuple[str, ...] | None = None
    multiplies_integers: bool = True
    takes_ort: bool = False
    stores: tuple[StoreLimit, ...] = ()
    runtimes: tuple[str, ...] = ()
    notes: Callable[[Examined, Mapping[str, RuntimeCoverage]], tuple[str, ...]] = _no_notes
