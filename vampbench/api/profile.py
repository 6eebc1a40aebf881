"""How large, how fast, where: variants of one model against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calibration.feeds.feedset import save_feed
from calibration.feeds.lengths import in_step
from calibration.feeds.model_feeds import evaluation_feeds_of
from profiles.host import describe_host
from profiles.measure.compare import Comparison, Timed, compare, read_timed
from profiles.measure.rounds import Plan
from profiles.place import Place
from profiles.profile import profile_variants
from profiles.targets.order import check_cores, parse_targets
from vampbench.api.bounds import FEWEST_ROUNDS, MOST_ROUNDS, check_within, typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.interface import check_same_interface
from vampbench.api.models import Models, as_artifact, each_of
from vampbench.api.progress import Heard, Listener
from vampnet_models.cache import Json
from vampnet_models.chain.families import told_by, unrated
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.records import results
from vampnet_models.records.generic import PROFILE, versioned
from vampnet_models.records.host import Host
from vampnet_models.records.profiles import (
    Failure,
    Measurement,
    Profile,
    ProfiledModel,
    ProfiledVariant,
    ProfileFile,
    Profiles,
)
from vampnet_models.scratch import scratch_folder


@dataclass(frozen=True)
class Profiled:
    """Times and sizes of variants of one model, the first being the reference of the ratios.

    Attributes:
        models: by name, in the order in which they were given.
        targets: where they were measured or estimated.
        records: by name and target, all that was found, as `vampbench profile --json` prints it.
        host: the machine that measured.
        warnings: what to beware of, a line each.
    """

    models: Mapping[str, Artifact]
    targets: tuple[Place, ...]
    records: Profiles
    host: Host
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> dict[str, Profile]:
        """What was found of one model, by target. Raises KeyError where it was not profiled."""
        return self.records[name]

    @property
    def failed(self) -> bool:
        """Whether a model could not be run on a target."""
        found = (record for targets in self.records.values() for record in targets.values())
        return any(isinstance(record, Failure) for record in found)

    @property
    def file(self) -> ProfileFile:
        """The contents of a file that `vampbench profile --compare` reads."""
        variants = tuple(ProfiledVariant(name, found) for name, found in self.records.items())
        first = next(iter(self.models.values()))
        return ProfileFile(self.host, (ProfiledModel(first.name, variants),))

    def as_json(self) -> Json:
        """The contents of that file, JSON values alone."""
        return versioned(self.file, PROFILE)

    def against(self, earlier: Timed, *, other_machine: bool = False) -> tuple[Comparison, ...]:
        """What is faster or slower than in what `read_profile` gives of an earlier one.

        Raises InputError where they share nothing, or where another machine measured it and that
        is not allowed.
        """
        return compare(earlier, self.file, other_machine=other_machine)

    def _repr_html_(self) -> str:
        # A report's tools are imported where one is shown: measuring shall not load them.
        from vampbench.api.show import html_of

        (name, reference), *others = self.models.items()
        variants = (
            results.Variant(each, "ok", str(artifact.path), artifact.bytes, profiles=self[each])
            for each, artifact in others
        )
        model = results.Model(
            name,
            reference.role.value,
            source_bytes=reference.bytes,
            profiles=self[name],
            variants=tuple(variants),
        )
        cpu = f"{self.host.cpu}, {self.host.cores} cores"
        return html_of(model, f"{name} and its variants", (cpu,), self.warnings)


@typed
def profile(
    models: Models,
    *,
    data: AnyData = None,
    evaluation: AnyData = None,
    targets: str = "cpu",
    rounds: int = 20,
    operators: bool = False,
    progress: Listener = None,
) -> Profiled:
    """Profile variants of one model, the first being the reference of the ratios.

    `models` are named by their keys, or else by their files' stems. All take the same inputs, made
    of `data` as `verify` takes it, at the length of one that takes no other;
    of `evaluation` where that is given. `targets` are words
    separated by commas: `cpu`, `cpu:N` with N threads, `cuda`, `mobile`. CPU and CUDA are measured
    in fresh, interleaved processes, `rounds` runs each; mobile is an estimate and labelled so.
    `operators` also says where the time goes.

    What cannot be measured here stands in the records with its reason. Raises InputError for models
    that are no variants of one, for another target's name, or where nothing can be fed.
    """
    heard = Heard(progress)
    chosen = parse_targets(targets)
    check_cores(chosen)
    check_within("rounds", rounds, FEWEST_ROUNDS, MOST_ROUNDS, whole=True)
    source = as_source(data, evaluation, judging=True)
    given = _named(models, source.sample_rate_hz)
    reference, *others = given.values()
    for other in others:
        check_same_interface(reference, other)
    reference = told_by(reference, others, heard)
    fed = in_step(reference, others, heard)
    with scratch_folder() as scratch:
        fed_with = evaluation_feeds_of(reference, source, 0, heard, fed)
        feed = scratch / "feed.npz"
        save_feed(fed_with.feeds[0], feed)
        # Recordings would have been refused: what is left out is told of a user's own feeds.
        if (unknown := unrated(reference)) is not None:
            heard.warn(unknown)
        records = profile_variants(
            {name: artifact.path for name, artifact in given.items()},
            feed,
            chosen,
            plan=Plan(rounds=rounds),
            operators=operators,
            family=reference.spec.family,
            step=lambda place: heard.task(f"profiling for {place}"),
        )
    found = (
        f"{name}: {warning}"
        for name in given
        for record in records[name].values()
        if isinstance(record, Measurement)
        for warning in record.warnings
    )
    return Profiled(given, chosen, records, describe_host(), (*heard.warnings, *found))


@typed
def read_profile(path: str | Path) -> Timed:
    """What `vampbench profile -o` or `run` wrote. Raises InputError where it is no such file."""
    return read_timed(Path(path))


def _named(models: Models, sample_rate_hz: int | None) -> dict[str, Artifact]:
    """The models by the names given, by their stems, or by their paths where stems repeat."""
    artifacts = [as_artifact(model, sample_rate_hz) for model in each_of(models)]
    if not artifacts:
        raise InputError("no model was given; give one at least")
    if isinstance(models, Mapping):
        return dict(zip(models, artifacts, strict=True))
    names = [a.name for a in artifacts]
    if len(set(names)) < len(names):
        names = [str(a.path) for a in artifacts]
    if len(set(names)) < len(names):
        raise InputError(f"{artifacts[0].path}: given twice; name different models")
    return dict(zip(names, artifacts, strict=True))
