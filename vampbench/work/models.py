"""The models of a job: opened in the chain's order, then taken one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vampbench.work.workspace import Json
from vampnet_models.errors import InputError, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter, left_text
from vampnet_models.spec import CHAIN_ROLES, Role


def open_all(paths: tuple[Path, ...], voice: Reporter) -> tuple[list[Artifact], list[Json]]:
    """The models that can be read, in the chain's order, and those that cannot, with reasons."""
    artifacts, skipped = [], []
    for path in paths:
        try:
            with contained():
                artifacts.append(open_artifact(path))
        except WorkbenchError as error:
            skipped.append({"path": path.name, "reason": str(error)})
            voice.warn(f"skipped: {error}")
    if not artifacts:
        raise InputError(f"none of {len(paths)} models can be read: {skipped[0]['reason']}")
    order = {role: index for index, role in enumerate((*CHAIN_ROLES, Role.BEATS, Role.GENERIC))}
    return sorted(artifacts, key=lambda a: (order[a.role], a.name)), skipped


def in_turn(artifacts: Sequence[Artifact], voice: Reporter) -> Iterator[Artifact]:
    """Each model, told with its number and with how long the rest takes by those before."""
    started_s = time.perf_counter()
    for done, artifact in enumerate(artifacts):
        left = left_text(time.perf_counter() - started_s, done, len(artifacts))
        where = f"model {done + 1} of {len(artifacts)}{left}"
        voice.note(f"{artifact.name} ({artifact.role.value}): {where}")
        yield artifact
