"""A run's conversions, verifications and profiles on a Dask cluster.

The cluster does the steps ahead of the ordinary job and leaves them in the job's folder, under
the hashes that the job itself would use; the job then finds them done. So the results are those
of a run without it, and what a worker could not do is done here. The folder and the models must
have the same path on every worker (a shared file system).
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from calibration.feeds.chain_inputs import ChainInputs
from calibration.feeds.evidence import kept_evidence
from calibration.feeds.feedset import FeedSet
from calibration.feeds.kept_feeds import kept_feeds
from calibration.feeds.model_feeds import feeds_key
from optimize.recipes import find_recipe
from optimize.variant import versions
from vampbench.work.asked import Job
from vampbench.work.job import (
    Ahead,
    both_feeds,
    build,
    evidence_for,
    profile,
    verify,
)
from vampbench.work.workspace import Workspace
from vampnet_models.chain.families import in_family
from vampnet_models.errors import InputError, WorkbenchError, reason_in
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.results import Variant

_PREFIX = "dask://"
_CONNECT_S = 20


def on_cluster(address: str) -> Ahead:
    """What `run_job` does ahead: everything that the scheduler at `dask://HOST:PORT` can take.

    Raises InputError on another form of address, or without the extra `dask`.
    """
    if not address.startswith(_PREFIX) or not address.removeprefix(_PREFIX):
        raise InputError(
            f"{address}: is no scheduler; give dask://HOST:PORT, as `dask scheduler` says"
        )
    try:
        import distributed
    except ImportError as error:
        raise InputError(f"{address}: needs Dask; pip install 'vampnet-workbench[dask]'") from error

    def ahead(
        job: Job,
        artifacts: list[Artifact],
        inputs: ChainInputs,
        space: Workspace,
        reporter: Reporter,
    ) -> None:
        try:
            client = distributed.Client(
                f"tcp://{address.removeprefix(_PREFIX)}", timeout=_CONNECT_S
            )
        except (OSError, TimeoutError) as error:
            raise InputError(f"{address}: no scheduler answers there; start one") from error
        with client:
            _send(client, job, artifacts, inputs, space, reporter)

    return ahead


def _send(
    client: Any,
    job: Job,
    artifacts: list[Artifact],
    inputs: ChainInputs,
    space: Workspace,
    reporter: Reporter,
) -> None:
    """Conversions first, then verifications, then profiles, when nothing else runs."""
    hosts = _check_workers(client, space)
    job = replace(job, out=job.out.resolve())
    keys = {}
    for artifact in artifacts:
        try:
            _, evaluation = both_feeds(artifact, job, space, inputs, reporter)
            evidence_for(artifact, evaluation, space, inputs)
        except WorkbenchError:
            continue  # the job itself meets it again, and reports it
        keys[artifact.path.resolve()] = feeds_key(artifact, inputs)
    one_each = [(path, recipe, key) for path, key in keys.items() for recipe in job.recipes]
    _together(client, "conversions", [(_convert, (job, *each)) for each in one_each], reporter)
    _together(client, "verifications", [(_verify, (job, *each)) for each in keys.items()], reporter)
    _one_per_host(client, hosts, [(_profile, (job, *each)) for each in keys.items()], reporter)


_Task = tuple[Callable[..., None], tuple[Any, ...]]


def _together(client: Any, what: str, tasks: Sequence[_Task], reporter: Reporter) -> None:
    """Wherever there is room."""
    from distributed import as_completed

    with reporter.task(f"cluster: {what}") as update:
        futures = [client.submit(work, *given, pure=False) for work, given in tasks]
        for done, future in enumerate(as_completed(futures), 1):
            _told(future, reporter)
            update(done, len(futures))


def _one_per_host(
    client: Any, hosts: dict[str, str], tasks: Sequence[_Task], reporter: Reporter
) -> None:
    """One task at a time on one worker of each host: two side by side would time each other."""
    from distributed import as_completed

    waiting, workers, done = list(tasks), list(hosts.values()), 0

    def start(worker: str) -> Any:
        work, given = waiting.pop(0)
        future = client.submit(
            work, *given, pure=False, workers=[worker], allow_other_workers=False
        )
        busy[future.key] = worker
        return future

    busy: dict[str, str] = {}
    with reporter.task("cluster: profiles") as update:
        running = as_completed([start(w) for w in workers[: len(waiting)]])
        for future in running:
            done += 1
            _told(future, reporter)
            update(done, len(tasks))
            if waiting:
                running.add(start(busy[future.key]))


def _told(future: Any, reporter: Reporter) -> None:
    """A task that failed is named; the job does it again here, where its error is its own."""
    if future.status != "finished":
        error = future.exception() if future.status == "error" else future.status
        reporter.warn(f"cluster: not done there, so here: {reason_in(str(error), 200)}")


def _check_workers(client: Any, space: Workspace) -> dict[str, str]:
    """One worker's address per host. Raises InputError where workers differ from this process.

    Each must see the job's folder and have the same versions of what makes the results.
    """
    word = secrets.token_hex(8)
    probe = space.work(f".{word}")
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.write_text(word, encoding="utf-8")
    try:
        seen = client.run(_look, probe.resolve())
    except (ImportError, AttributeError) as error:
        raise InputError(f"a worker has not this version of vampnet-workbench: {error}") from error
    finally:
        probe.unlink()
    if not seen:
        raise InputError("the scheduler has no workers; start some with `dask worker ADDRESS`")
    hosts: dict[str, list[str]] = defaultdict(list)
    for address, (read, theirs) in seen.items():
        if read != word:
            raise InputError(
                f"worker {address}: does not see {space.root.resolve()}; use a shared file system"
            )
        if theirs != versions():
            raise InputError(f"worker {address}: has {theirs}, not {versions()} as here")
        hosts[address.split("://")[-1].rsplit(":", 1)[0]].append(address)
    return {host: min(addresses) for host, addresses in hosts.items()}


def _look(path: Path) -> tuple[str, dict[str, str]]:
    try:
        return path.read_text(encoding="utf-8"), versions()
    except OSError:
        return "", versions()


def _opened(job: Job, model: Path) -> Artifact:
    return in_family([open_artifact(model)], job.source.sample_rate_hz)[0]


def _convert(job: Job, model: Path, recipe: str, key: str) -> None:
    artifact, space = _opened(job, model), Workspace(job.out)
    calibration, _ = _feeds(artifact, space, key)
    build(artifact, find_recipe(recipe), calibration, space, Reporter())


def _verify(job: Job, model: Path, key: str) -> None:
    artifact, space = _opened(job, model), Workspace(job.out)
    _verified(job, artifact, space, key)


def _profile(job: Job, model: Path, key: str) -> None:
    artifact, space = _opened(job, model), Workspace(job.out)
    variants = _verified(job, artifact, space, key)
    profile(artifact, variants, _feeds(artifact, space, key)[1], job, space, Reporter())


def _verified(job: Job, artifact: Artifact, space: Workspace, key: str) -> tuple[Variant, ...]:
    """The variants, found made, with their accuracy, found or compared now."""
    calibration, evaluation = _feeds(artifact, space, key)
    missing = _missing(artifact, space)
    evidence = kept_evidence(space.work("feeds"), artifact.name, key, missing)
    recipes = [find_recipe(name) for name in job.recipes]
    variants = [build(artifact, recipe, calibration, space, Reporter()) for recipe in recipes]
    return verify(artifact, variants, evaluation, evidence, job, space, Reporter())


def _feeds(artifact: Artifact, space: Workspace, key: str) -> tuple[FeedSet, FeedSet]:
    """Both sides, as the job's own process left them in the shared folder."""
    missing = _missing(artifact, space)
    return kept_feeds(space.work("feeds"), artifact.name, key, missing, Reporter())


def _missing(artifact: Artifact, space: Workspace) -> Callable[[], NoReturn]:
    """What a worker does in place of making what the job's own process should have left."""

    def missing() -> NoReturn:
        raise InputError(f"{artifact.name}: its feeds are not in {space.work('feeds')}")

    return missing
