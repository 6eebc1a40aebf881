"""Tokens kept by INT8: ours beside other tools', calibrated and judged on the same feeds.

    python -m bench.accuracy.run [MODELS_DIR] --out bench/results/accuracy.json
        [--evaluation-audio DIR]
    python -m bench.accuracy.run FULL_SIZE --out bench/results/accuracy_full.json --states 4
        --frames 100 --max-memory-gb 8 --resume

Each tool quantizes in a process of its own, one at a time, which is timed and whose peak memory is
noted. NNCF (for OpenVINO) needs `make env-bench`, Neural Compressor `make env-inc`; a tool that is
missing, fails, or takes more than the limit is a row that says so. The file is written after each
row; `--resume` keeps the rows that are there.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.accuracy.tools import NOT_INSTALLED, TOOLS, Limits, Tool, make
from bench.printed import Printed
from calibration.feeds.chain_feeds import FeedSizes
from calibration.feeds.chain_inputs import ChainInputs, prepare_inputs
from calibration.feeds.feedset import FeedSet
from calibration.feeds.model_feeds import CALIBRATION, EVALUATION, side_feeds
from calibration.feeds.source import Source
from optimize.fusions.codec import pointwise_conv
from optimize.fusions.order import fuse
from optimize.truth.accuracy import Truth, compare, judge, reference_truth
from optimize.truth.answers import reduce_answer
from profiles.host import describe_host
from vampnet_models.cache import Json
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import WorkbenchError
from vampnet_models.onnxfile.artifact import (
    Artifact,
    find_models,
    load_model,
    open_artifact,
    save_model,
    write_text,
)
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.generic import as_json
from vampnet_models.text import megabytes, percent

_EVALUATION_FACTOR = 2
"""So many states are judged for each that is calibrated on, where their number is given."""


class Bench:
    """One model with its feeds and its reference's answers, made when a tool first needs them."""

    def __init__(
        self, artifact: Artifact, inputs: ChainInputs, sizes: FeedSizes | None, work: Path
    ):
        self.artifact, self._ground, self._sizes = artifact, inputs, sizes
        self.work = work / artifact.name
        self.work.mkdir(exist_ok=True)

    @cached_property
    def calibration(self) -> tuple[FeedSet, Path]:
        """The feeds that every tool calibrates on, and their archive."""
        return self._feeds(judged=False)

    @cached_property
    def evaluation(self) -> tuple[FeedSet, Path]:
        """The feeds that every tool is judged on, and their archive."""
        return self._feeds(judged=True)

    @cached_property
    def truth(self) -> Truth:
        """What the reference says."""
        return reference_truth(self.artifact, self.evaluation[0].feeds)

    @cached_property
    def as_products(self) -> Path:
        """The model with each Conv over one frame written as a MatMul."""
        path, model = self.work / "products.onnx", load_model(self.artifact.path)
        fuse(model, (pointwise_conv.RULE,))
        save_model(model, path)
        return path

    def row(self, tool: Tool, limits: Limits) -> Json:
        """One tool on this model."""
        role = self.artifact.role
        source = self.as_products if tool.smooths else self.artifact.path
        settings = tool.settings_for(role) or tool.told
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            out = Path(folder) / f"{self.artifact.name}{tool.suffix}"
            row = make(tool, role, source, self.calibration[1], out, limits)
            if "failed" not in row:
                try:
                    row["accuracy"] = as_json(self._accuracy(tool, out))
                except (WorkbenchError, subprocess.CalledProcessError) as error:
                    row["failed"] = f"its model does not run: {str(error)[-300:]}"
        return {"tool": tool.name, "settings": json.loads(json.dumps(settings)), **row}

    def _accuracy(self, tool: Tool, out: Path) -> AccuracyReport:
        """What the tool's model says on the evaluation feeds."""
        if tool.suffix == ".onnx":
            return compare(self.truth, open_artifact(out))
        answers = out.with_name("answers.npz")
        command = [str(tool.interpreter), "-m", "bench.accuracy.openvino_answers"]
        command += [str(out), str(self.evaluation[1]), str(answers)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return judge(self.truth, _reduced(self.truth, answers))

    def _feeds(self, *, judged: bool) -> tuple[FeedSet, Path]:
        side, inputs, reporter = EVALUATION if judged else CALIBRATION, self._ground, Printed()
        if self._sizes is not None:
            sizes = _scaled(self._sizes, _EVALUATION_FACTOR) if judged else self._sizes
            side = replace(side, sizes=sizes, large_sizes=sizes)
        found = side_feeds(self.artifact, inputs, side, 0, reporter)
        path = self.work / f"{side.name}.npz"
        found.save_npz(path)
        return found, path


def _scaled(sizes: FeedSizes, factor: int) -> FeedSizes:
    """Sizes for so many times the feeds, of the full window alone."""
    return replace(
        sizes,
        clips=sizes.clips * factor,
        coarse_states=sizes.coarse_states * factor,
        c2f_states=sizes.c2f_states * factor,
    )


def _reduced(truth: Truth, path: Path) -> Iterator[Feeds]:
    spec = truth.reference.spec
    with np.load(path) as archive:
        for number, feed in enumerate(truth.feeds):
            outputs = {o.name: archive[f"{o.name}/{number}"] for o in spec.outputs}
            yield reduce_answer(spec, feed, outputs, True, False)


def compare_tools(
    artifacts: Sequence[Artifact],
    inputs: ChainInputs,
    sizes: FeedSizes | None,
    limits: Limits,
    work: Path,
    out: Path,
    content: Json,
) -> None:
    """Add the rows that are missing to the record; it is written after each."""
    for artifact in artifacts:
        bench = Bench(artifact, inputs, sizes, work)
        entry = _entry(content, artifact)
        # What was missing then may be there now.
        entry["tools"] = [r for r in entry["tools"] if NOT_INSTALLED not in r.get("failed", "")]
        done = {row["tool"] for row in entry["tools"]}
        for tool in (t for t in TOOLS if t.takes(artifact.role) and t.name not in done):
            row = bench.row(tool, limits)
            entry["n_calibration_feeds"] = len(bench.calibration[0].feeds)
            entry["tools"].append(row)
            print(f"{artifact.name:<14} {_line(row)}", flush=True)
            write_text(out, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _entry(content: Json, artifact: Artifact) -> Json:
    """This model's part of the record; begun anew where it was of another file."""
    found = [m for m in content["models"] if m["sha256"] == artifact.sha256]
    if found:
        entry: Json = found[0]
        return entry
    entry = {
        "name": artifact.name,
        "role": artifact.role.value,
        "sha256": artifact.sha256,
        "source_bytes": artifact.bytes,
        "tools": [],
    }
    content["models"] = [m for m in content["models"] if m["name"] != artifact.name] + [entry]
    return entry


def _line(row: Json) -> str:
    """One tool's result in a line."""
    cost = ""
    if "seconds" in row:
        cost = f"{row['seconds']:.1f} s, peak {megabytes(row['peak_rss_bytes'])}"
    if "failed" in row:
        return f"{row['tool']:<38} failed: {row['failed']}" + (f" ({cost})" if cost else "")
    found = row["accuracy"]
    says = percent(found["token_agreement"])
    if found["token_agreement"] is None:
        says = f"{found['si_sdr_db']:.1f} dB"
    elif found["near_ties"] is not None:
        says += f" ({percent(found['near_ties']['agreement_excluding'])} without near-ties)"
    return f"{row['tool']:<38} {says}, {megabytes(row['bytes'])}, {cost}"


def opened(out: Path, resume: bool, audio: str, sizes: FeedSizes | None) -> Json:
    """The record to add to. Raises SystemExit where the one there was made on other feeds."""
    fed = None if sizes is None else {"states": sizes.coarse_states, "frames": sizes.max_frames}
    fresh: Json = {
        "schema": 2,
        "host": as_json(describe_host()),
        "audio": audio,
        "feeds": fed,
        "models": [],
    }
    if not (resume and out.is_file()):
        return fresh
    earlier: Json = json.loads(out.read_text(encoding="utf-8"))
    if [earlier.get(key) for key in ("schema", "audio", "feeds")] != [2, audio, fed]:
        raise SystemExit(f"{out}: of other feeds; name another file, or leave out --resume")
    return earlier


def _main() -> None:
    """Quantize with every tool and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="?", help="default: the built-in models")
    parser.add_argument("--evaluation-audio", type=Path, help="recordings to judge on")
    parser.add_argument("--only", nargs="+", help="models by name, in this order")
    parser.add_argument("--states", type=int, help="calibrate on so few (default: as `run` does)")
    parser.add_argument("--frames", type=int, help="frames of a transformer's state")
    parser.add_argument("--max-memory-gb", type=float, default=float("inf"))
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="per tool")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--work", type=Path, help="where codes are kept from run to run")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    n, sizes = chosen.states, None
    if n is not None:
        clips = max(1, n // 2)
        sizes = FeedSizes(clips=clips, coarse_states=n, c2f_states=n, max_frames=chosen.frames)
    limits = Limits(chosen.max_memory_gb * 1e9, chosen.max_seconds)
    # So that the tool's process ends with this one, and the work folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    reporter = Printed()
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        work = Path(folder)
        models = chosen.models if chosen.models is not None else builtin_models(work)
        artifacts = [open_artifact(path) for path in find_models(models)]
        audio = Source(evaluation_audio=chosen.evaluation_audio).load_audio(reporter)
        content = opened(chosen.out, chosen.resume, audio.name, sizes)
        inputs = prepare_inputs(
            artifacts, Source(audio), chosen.work or work / "ground", 0, reporter
        )
        if chosen.only:
            by_name = {artifact.name: artifact for artifact in artifacts}
            artifacts = [by_name[name] for name in chosen.only]
        compare_tools(artifacts, inputs, sizes, limits, work, chosen.out, content)


if __name__ == "__main__":
    _main()
