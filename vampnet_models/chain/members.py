"""The models of a job: opened in the chain's order, then taken one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vampnet_models.chain.families import apart, in_family, unsaid
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, find_models, open_artifact
from vampnet_models.progress import Reporter, left_text
from vampnet_models.records.results import Skipped
from vampnet_models.spec import CHAIN_ROLES, Role


def open_all(
    paths: tuple[Path, ...], reporter: Reporter, sample_rate_hz: int | None = None
) -> tuple[list[Artifact], list[Skipped]]:
    """The models that can be read, in the chain's order, and those that cannot, with reasons.

    `sample_rate_hz` as for `in_family`, which it raises InputError as.
    """
    artifacts, skipped = [], []
    for path in paths:
        try:
            with contained():
                artifacts.append(open_artifact(path))
        except WorkbenchError as error:
            skipped.append(Skipped(path.name, str(error)))
            reporter.warn(f"skipped: {error}")
    if not artifacts:
        raise InputError(f"none of {len(paths)} models can be read: {skipped[0].reason}")
    order = {role: index for index, role in enumerate((*CHAIN_ROLES, Role.BEATS, Role.GENERIC))}
    ordered = sorted(artifacts, key=lambda a: (order[a.role], a.name))
    joined = in_family(ordered, sample_rate_hz)
    for before, after in zip(ordered, joined, strict=True):
        if (doubt := unsaid(before, after)) is not None:
            reporter.warn(doubt)
    return joined, skipped


def in_turn(artifacts: Sequence[Artifact], reporter: Reporter) -> Iterator[Artifact]:
    """Each model, told with its number and with how long the rest takes by those before."""
    started_s = time.perf_counter()
    for done, artifact in enumerate(artifacts):
        left = left_text(time.perf_counter() - started_s, done, len(artifacts))
        where = f"model {done + 1} of {len(artifacts)}{left}"
        reporter.note(f"{artifact.name} ({artifact.role.value}): {where}")
        yield artifact


def with_neighbours(artifact: Artifact, reporter: Reporter) -> list[Artifact]:
    """The model and the other readable ones of its folder: the chain that it stands in.

    A generic model stands in none: whatever lies beside it is no concern of its. Models of another
    codec are left out, with a word.
    """
    found = [artifact]
    if artifact.role is Role.GENERIC and artifact.spec.part is None:
        return found
    for path in find_models(artifact.path.parent):
        if path != artifact.path:
            try:
                with contained():
                    other = open_artifact(path)
            except WorkbenchError as error:
                reporter.warn(str(error))
                continue
            if apart(artifact, other):
                reporter.warn(f"{path.name}: not used for {artifact.name}: of another codec")
            else:
                found.append(other)
    return found


def with_upstream(
    beside: Sequence[Artifact], model: Artifact, paths: Sequence[Path]
) -> list[Artifact]:
    """The models of a chain, those that `paths` name in place of their stage's.

    Raises InputError for one that cannot be read, that does not come before `model`, or for two
    of one stage.
    """
    named: dict[Role, Artifact] = {}
    for path in paths:
        artifact = open_artifact(path)
        role = artifact.role
        if role not in CHAIN_ROLES[: _stage(model.role)]:
            raise InputError(
                f"{path}: {role.value} does not come before {model.role.value}; --upstream takes "
                "what makes the model's input"
            )
        if role in named:
            raise InputError(f"{path}: {named[role].path} is {role.value} already; give one of it")
        named[role] = artifact
    kept = [a for a in beside if a is model or a.role not in named]
    return [*kept, *named.values()]


def _stage(role: Role) -> int:
    """How many stages of the chain come before a role; none before a role beside it."""
    return CHAIN_ROLES.index(role) if role in CHAIN_ROLES else 0
