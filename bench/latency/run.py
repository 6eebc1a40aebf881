"""Every runtime and variant interleaved in one run, per model and window.

A round times each runner once, in an order drawn anew; each is a process of its own with one open
model (see child.py). The record is written after each round and holds the raw samples; a
run that was interrupted goes on where it stopped. `--prepare` makes the models and feeds first,
which takes long and must not disturb what is timed. What a runner says is compared with the
baseline's answer to the same input.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.progress import Progress

from bench import ROOT
from bench.latency.inputs import calibration_set, timed_feed, write_feed
from bench.latency.results import opened, save
from bench.latency.runners import BASELINE, RUNNERS, Runner, model_of, prepare
from optimize.truth.audio_metrics import snr_db
from profiles.host import available_cores, describe_host
from vampnet_models.cache import Json
from vampnet_models.errors import InputError, WorkbenchError
from vampnet_models.onnxfile.artifact import open_artifact

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "latency.json"
_SETTLE_S = 0.01
"""A pause before each timed run: the last process's worker threads spin on for a while."""

_LEAD_S = 0.1
"""Untimed runs before each timed one: a process that has just woken has its threads on one core."""

_SHORT_S = 1.0
"""Where no runner of a case is faster than this, that makes no difference, and is left out."""

_WINDOWS = {
    "coarse": (100, 575),
    "c2f": (100, 173, 575),
    "codec_encoder": (288,),
    "codec_decoder": (288,),
}
"""Frames per model file; c2f is used with 173, and 288 are 5 s of audio."""


@dataclass(frozen=True)
class _Case:
    """One model with one input."""

    model: Path
    frames: int

    @property
    def name(self) -> str:
        """The key in the record."""
        return f"{self.model.stem}-{self.frames}"


class _RunnerFailed(Exception):
    """A timed process ended or said that it cannot go on; the text says why."""


class _Timed:
    """A running `child.py`."""

    def __init__(self, stack: ExitStack, command: list[str], errors: Path) -> None:
        self._errors = errors
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(errors.open("w")),
                text=True,
                cwd=ROOT,
            )
        except OSError as error:
            raise _RunnerFailed(f"{command[0]} does not start: {error}") from error
        stack.callback(self._stop)
        self.version = str(self._reply()["ready"])

    def seconds(self) -> float:
        """The time of one inference."""
        return float(self._ask("run")["seconds"])

    def lead_in(self) -> None:
        """Run untimed, until its threads have spread over the cores and its caches are full."""
        spent_s = 0.0
        while spent_s < _LEAD_S:
            spent_s += self.seconds()

    def answer(self, path: Path) -> dict[str, Any]:
        """The outputs of one inference."""
        self._ask(f"answer {path}")
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}

    def _ask(self, request: str) -> Json:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError:
            raise _RunnerFailed(self._why()) from None
        return self._reply()

    def _reply(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise _RunnerFailed(self._why())
        reply = cast("Json", json.loads(line))
        if "error" in reply:
            raise _RunnerFailed(str(reply["error"]))
        return reply

    def _why(self) -> str:
        code = self._process.wait()
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return f"its process ended with {code}" + (f": {lines[-1][-300:]}" if lines else "")

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True)
class _Setup:
    """What to compare, with which interpreters, and where made models are kept."""

    models: Path
    work: Path
    runners: tuple[Runner, ...]
    interpreters: dict[str, str]
    threads: int

    def calibration(self, case: _Case) -> Path:
        """The calibration feeds of a case's model."""
        return self.work / f"{case.model.stem}.calibration.npz"

    def feed(self, case: _Case) -> Path:
        """The timed input of a case."""
        return self.work / f"{case.name}.npz"


def _prepare_case(setup: _Setup, case: _Case) -> dict[str, str]:
    """Make the inputs and models that are missing; the reason per runner where that failed."""
    setup.work.mkdir(parents=True, exist_ok=True)
    model = open_artifact(case.model)
    encoder = open_artifact(setup.models / "codec_encoder.onnx")
    if not setup.calibration(case).is_file():
        calibration_set(model, encoder).save_npz(setup.calibration(case))
    if not setup.feed(case).is_file():
        write_feed(timed_feed(model, encoder, case.frames), setup.feed(case))
    failures = {}
    for runner in setup.runners:
        reason = prepare(
            runner,
            case.model,
            setup.calibration(case),
            setup.work,
            setup.interpreters[runner.environment],
        )
        if reason is not None:
            failures[runner.name] = reason
    return failures


def _time_case(
    setup: _Setup, case: _Case, record: Json, out: Path, rounds: int, progress: Progress
) -> None:
    """Time one case until it has `rounds` rounds; the record is written after each."""
    key = record["cases"].setdefault(
        case.name,
        {"model": case.model.stem, "input": f"{case.frames} frames", "rounds": 0, "runners": {}},
    )
    task = progress.add_task(case.name, total=rounds, completed=key["rounds"])
    if key["rounds"] >= rounds:
        return
    failures = _prepare_case(setup, case)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vampbench-")))
        living = _open_all(setup, case, key, failures, stack, folder)
        save(out, record)
        is_short = any(timed.seconds() < _SHORT_S for _, timed in living.values())
        while key["rounds"] < rounds:
            number = key["rounds"]
            order = [n for n, (r, _) in living.items() if number % r.every == 0]
            random.Random(number).shuffle(order)
            for name in order:
                entry = key["runners"][name]
                time.sleep(_SETTLE_S)
                try:
                    if is_short:
                        living[name][1].lead_in()
                    entry["samples_s"][str(number)] = living[name][1].seconds()
                except _RunnerFailed as error:
                    entry["failure"] = f"in round {number + 1}: {error}"
                    del living[name]
            key["rounds"] = number + 1
            save(out, record)
            progress.update(task, completed=number + 1)


def _open_all(
    setup: _Setup,
    case: _Case,
    key: Json,
    failures: dict[str, str],
    stack: ExitStack,
    folder: Path,
) -> dict[str, tuple[Runner, _Timed]]:
    """Start the runners and compare their answers with the baseline's; failures are recorded."""
    living = {}
    expected: dict[str, Any] | None = None
    for runner in setup.runners:
        entry = {"samples_s": {}} | key["runners"].get(runner.name, {})
        entry |= {"failure": failures.get(runner.name), "agreement": None}
        key["runners"][runner.name] = entry
        if entry["failure"]:
            continue
        model = model_of(runner, case.model, setup.work)
        command = [
            setup.interpreters[runner.environment],
            str(ROOT / "bench" / "latency" / "child.py"),
            runner.runtime,
            str(model.resolve()),
            str(setup.feed(case).resolve()),
            str(setup.threads),
        ]
        try:
            timed = _Timed(stack, command, folder / f"{runner.name}.stderr")
            answer = timed.answer(folder / f"{runner.name}.npz")
        except _RunnerFailed as error:
            entry["failure"] = str(error)
            continue
        entry["version"] = f"{runner.runtime} {timed.version}"
        living[runner.name] = (runner, timed)
        if runner.name == BASELINE:
            expected = answer
        elif expected is not None and answer:
            entry["agreement"] = agreement(expected, answer, setup.feed(case))
    return living


def agreement(expected: dict[str, Any], answer: dict[str, Any], feed: Path) -> Json:
    """How far an answer is the baseline's: SNR in dB of audio, else the share of equal codes.

    Of a transformer's tokens, those that it was to predict count.
    """
    name = "tokens" if "tokens" in expected else next(iter(expected))
    wanted, got = expected[name], answer[name]
    if np.issubdtype(wanted.dtype, np.floating):
        return {"unit": "dB", "value": snr_db(wanted, got), "n": int(wanted.size)}
    same = wanted == got
    with np.load(feed) as archive:
        if "mask" in archive.files:
            same = same[archive["mask"].astype(bool)]
    return {"unit": "share", "value": float(same.mean()), "n": int(same.size)}


def _chosen(text: str | None) -> tuple[Runner, ...]:
    """The runners of a comma-separated list; the baseline always runs."""
    if text is None:
        return RUNNERS
    names = {BASELINE, *text.split(",")}
    unknown = names - {runner.name for runner in RUNNERS}
    if unknown:
        known = ", ".join(runner.name for runner in RUNNERS)
        raise InputError(f"{', '.join(sorted(unknown))}: no such runner; choose from {known}")
    return tuple(runner for runner in RUNNERS if runner.name in names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the full-size models")
    parser.add_argument("--work", type=Path, default=Path("out/latency"), help="made models")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    parser.add_argument("--models", default="coarse,c2f", help="also codec_encoder,codec_decoder")
    parser.add_argument("--windows", help="frames, comma-separated, in place of each model's own")
    parser.add_argument("--runners", help="comma-separated; all by default")
    parser.add_argument("--rounds", type=int, default=32)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--prepare", action="store_true", help="make models and feeds, time none")
    parser.add_argument("--bench-python", default=str(ROOT / ".venv-bench" / "bin" / "python"))
    parser.add_argument("--torch-python", default=sys.executable)
    return parser


def run(arguments: list[str] | None = None) -> Json:
    """Time what the arguments name; the record. Raises InputError as the parts do."""
    chosen = _parser().parse_args(arguments)
    interpreters = {
        "here": sys.executable,
        "bench": chosen.bench_python,
        "torch": chosen.torch_python,
    }
    runners = _chosen(chosen.runners)
    setup = _Setup(chosen.folder, chosen.work, runners, interpreters, chosen.threads)
    cases = []
    for stem in chosen.models.split(","):
        if stem not in _WINDOWS:
            raise InputError(f"{stem}: no such model; choose from {', '.join(_WINDOWS)}")
        frames = map(int, chosen.windows.split(",")) if chosen.windows else _WINDOWS[stem]
        cases += [_Case(chosen.folder / f"{stem}.onnx", n) for n in frames]
    record = opened(chosen.out, describe_host(), chosen.threads)
    with Progress() as progress:
        if chosen.prepare:
            for case in progress.track(cases, description="preparing"):
                for name, reason in _prepare_case(setup, case).items():
                    progress.console.print(f"{case.name} {name}: {reason}")
        else:
            chosen.out.parent.mkdir(parents=True, exist_ok=True)
            for case in cases:
                _time_case(setup, case, record, chosen.out, chosen.rounds, progress)
    return record


def _main() -> None:
    """Run; an interruption keeps every finished round."""
    try:
        run()
    except WorkbenchError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: the rounds so far are kept; the same command goes on")


if __name__ == "__main__":
    _main()
