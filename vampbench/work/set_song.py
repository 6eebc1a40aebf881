"""What the decided sets play, as the last step of the job: whole pieces, beside FP32's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from optimize.truth.song.pieces import Pieces, load_pieces, play
from optimize.truth.song.prompts import Prompts
from optimize.truth.song.same_song import WAY_OF_PLAYING, unplayable
from optimize.truth.song.set_song import Played, set_song
from vampbench.work.song import PLAYING
from vampbench.work.workspace import Workspace
from vampnet_models.cache import key_of, remember
from vampnet_models.chain.families import of_family
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.files import recall_record
from vampnet_models.records.generic import as_json
from vampnet_models.records.results import FP32, DecidedSet, Decision, Results
from vampnet_models.records.song import SetSong
from vampnet_models.spec import CHAIN_ROLES, Role

_Stages = Mapping[Role, Artifact]


@dataclass(frozen=True)
class _Hall:
    """What all sets of a run are heard by."""

    fp32: _Stages
    prompts: Prompts
    space: Workspace
    reporter: Reporter


def with_set_songs(
    results: Results,
    artifacts: Sequence[Artifact],
    prompts: Prompts,
    space: Workspace,
    reporter: Reporter,
) -> Results:
    """The decided sets with what they play, kept from before or played now; equal sets play once.

    Why one plays nothing is the note of its song, and said.
    """
    by_role = {artifact.role: artifact for artifact in reversed(artifacts)}
    fp32 = {role: by_role[role] for role in CHAIN_ROLES if role in by_role}
    hall = _Hall(fp32, prompts, space, reporter)
    heard: dict[frozenset[tuple[str, str]], SetSong] = {}

    def with_song(found: DecidedSet | None) -> DecidedSet | None:
        if found is None:
            return None
        parts = frozenset(found.parts.items())
        if parts not in heard:
            song = _song(results, found, hall)
            if song.note is not None and song.note not in {each.note for each in heard.values()}:
                reporter.warn(song.note)
            heard[parts] = song
        return replace(found, song=heard[parts])

    decision: dict[str, Decision] = {
        target: replace(each, smallest=with_song(each.smallest), fastest=with_song(each.fastest))
        for target, each in results.decision.items()
    }
    reporter.tell_kept()
    return replace(results, decision=decision)


def _song(results: Results, found: DecidedSet, hall: _Hall) -> SetSong:
    name = ", ".join(dict.fromkeys(found.parts.values()))
    try:
        with contained():
            own = _stages_of(results, found, hall)
            key = key_of(_key(hall, hall.fp32), _key(hall, own))
            path = hall.space.work("song", "sets", f"{key[:32]}.json")
            kept = recall_record(SetSong, path, key)
            if kept is not None:
                hall.reporter.keep(f"song of the set {name}")
                return kept
            fp32 = _played(hall, hall.fp32, "FP32")
            floor = _pieces(hall, hall.fp32, "FP32, other threads", floor=True)
            played = _played(hall, own, name)
            with hall.reporter.task(f"judging the song of {name}"):
                song = set_song(hall.fp32, hall.prompts, fp32, floor, played)
            remember(path, key, as_json(song))
            return song
    except WorkbenchError as error:
        return SetSong(note=f"no song of the set: {error}")


def _stages_of(results: Results, found: DecidedSet, hall: _Hall) -> dict[Role, Artifact]:
    """The set's model of each stage. Raises InputError where a stage has none, or cannot play."""
    models = {model.name: model for model in results.models}
    stages = {}
    for role in CHAIN_ROLES:
        source = hall.fp32.get(role)
        if source is None or source.name not in found.parts:
            raise InputError(f"there is no {role.value} in it: it takes the whole chain")
        if role in PLAYING and (why := unplayable(source)) is not None:
            raise InputError(f"{source.name}: {why}")
        recipe = found.parts[source.name]
        stages[role] = source
        if recipe != FP32:
            paths = (v.path for v in models[source.name].variants if v.recipe == recipe)
            path = next(paths, None)
            if path is None:
                raise InputError(f"{source.name}: its {recipe} is not there; run again")
            stages[role] = of_family(open_artifact(hall.space.root / path), source.spec.family)
    return stages


def _played(hall: _Hall, stages: _Stages, name: str) -> Played:
    return Played(
        _pieces(hall, stages, name),
        _pieces(hall, stages, f"{name}, other seeds", other_seeds=True),
    )


def _pieces(
    hall: _Hall, stages: _Stages, what: str, *, other_seeds: bool = False, floor: bool = False
) -> Pieces:
    """What a chain plays; kept by its models and seeds."""
    key = key_of(_key(hall, stages), floor, other_seeds)
    path = hall.space.work("song", "pieces", f"{key[:32]}.npz")
    with contextlib.suppress(InputError, KeyError):
        return load_pieces(path)
    with hall.reporter.task(f"playing pieces: {what}") as update:
        found = play(stages, hall.prompts, other_seeds=other_seeds, floor=floor, progress=update)
    found.save_npz(path)
    return found


def _key(hall: _Hall, stages: _Stages) -> str:
    hashes = (stages[role].sha256 for role in CHAIN_ROLES if role in stages)
    return key_of(*hashes, hall.prompts.sha256, WAY_OF_PLAYING)
