"""Tokens kept by static INT8: ours beside other tools', calibrated and judged on the same feeds.

    python -m bench.accuracy MODELS_DIR --out bench/results/accuracy.json [--evaluation-audio DIR]

Each tool quantizes in a process of its own, which is timed and whose peak memory is noted. NNCF
(for OpenVINO) needs `make env-bench`, Neural Compressor `make env-inc`; a tool that is missing or
fails is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optimize.accuracy import Truth, compare, judge, reference_truth
from optimize.accuracy_report import AccuracyReport
from optimize.answers import reduce_answer
from profiles.host import describe_host
from vampnet_models.artifact import Artifact, find_models, open_artifact, write_text
from vampnet_models.builtin import builtin_models
from vampnet_models.errors import WorkbenchError
from vampnet_models.session import Feeds
from workbench.console import Voice, megabytes, percent
from workbench.ground import feeds_of, lay_ground, load_audio

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
POLL_S = 0.02


@dataclass(frozen=True)
class Tool:
    """A way to static INT8: the interpreter and script that make the model, and its file."""

    name: str
    interpreter: Path
    command: tuple[str, ...]
    suffix: str = ".onnx"
    options: tuple[str, ...] = ()


HERE = Path(sys.executable)
RUNNERS = ("-m", "bench.latency_runners")
INC = ROOT / ".venv-inc" / "bin" / "python"
INC_SCRIPT = ("-P", "optimize/backends/inc_script.py")
OPENVINO = ROOT / ".venv-bench" / "bin" / "python"
TOOLS = (
    Tool("ours: int8-static", HERE, (*RUNNERS, "int8-static")),
    Tool("ours: int8-dynamic", HERE, (*RUNNERS, "int8-dynamic")),
    Tool("onnxruntime quantize_static, minmax", HERE, (*RUNNERS, "quantize-static")),
    Tool("onnxruntime quantize_static, percentile", HERE, (*RUNNERS, "quantize-static-percentile")),
    Tool("onnxruntime quantize_static, entropy", HERE, (*RUNNERS, "quantize-static-entropy")),
    Tool("onnxruntime quantize_dynamic", HERE, (*RUNNERS, "quantize-dynamic")),
    Tool("NNCF, for OpenVINO", OPENVINO, ("bench/latency_nncf.py",), ".xml"),
    Tool("Neural Compressor", INC, INC_SCRIPT, options=("static",)),
    Tool("Neural Compressor, SmoothQuant", INC, INC_SCRIPT, options=("smoothquant",)),
)


def make(tool: Tool, source: Path, calibration: Path, out: Path) -> Json:
    """Run a tool: seconds and peak bytes of its process, or why it failed."""
    if not tool.interpreter.is_file():
        return {"failed": f"{tool.interpreter.parent.parent.name} is not installed"}
    files = [str(each) for each in (source, calibration, out)]
    command = [str(tool.interpreter), *tool.command, *files, *tool.options]
    started_s = time.perf_counter()
    log = out.with_name("log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        peak_bytes = 0
        while process.poll() is None:
            peak_bytes = max(peak_bytes, _peak_rss_bytes(process.pid))
            time.sleep(POLL_S)
    if process.returncode != 0 or not out.is_file():
        lines = log.read_text(errors="replace").strip().splitlines() or ["nothing was written"]
        return {"failed": lines[-1][:300]}
    return {
        "seconds": time.perf_counter() - started_s,
        "peak_rss_bytes": peak_bytes,
        "bytes": sum(p.stat().st_size for p in out.parent.iterdir() if p != log),
    }


def _peak_rss_bytes(pid: int) -> int:
    """The high-water mark so far: what wait4 reports would include the parent's at the fork."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) * 1024 if marks else 0


def accuracy(tool: Tool, truth: Truth, out: Path, feeds: Path) -> AccuracyReport:
    """What the tool's model says on the evaluation feeds."""
    if tool.suffix == ".onnx":
        return compare(truth, open_artifact(out))
    answers = out.with_name("answers.npz")
    command = [str(tool.interpreter), "bench/accuracy_openvino.py", str(out), str(feeds)]
    subprocess.run([*command, str(answers)], cwd=ROOT, check=True, capture_output=True)
    return judge(truth, _reduced(truth, answers))


def _reduced(truth: Truth, path: Path) -> Iterator[Feeds]:
    spec = truth.reference.spec
    with np.load(path) as archive:
        for number, feed in enumerate(truth.feeds):
            outputs = {o.name: archive[f"{o.name}/{number}"] for o in spec.outputs}
            yield reduce_answer(spec, feed, outputs, True, False)


def rows_of(
    artifact: Artifact, truth: Truth, calibration: Path, evaluation: Path, work: Path
) -> list[Json]:
    """Every tool on one model."""
    rows = []
    for tool in TOOLS:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            out = Path(folder) / f"{artifact.name}{tool.suffix}"
            row = make(tool, artifact.path, calibration, out)
            if "failed" not in row:
                try:
                    row["accuracy"] = accuracy(tool, truth, out, evaluation).as_json()
                except (WorkbenchError, subprocess.CalledProcessError) as error:
                    row = {"failed": f"its model does not run: {error}"[:300]}
        rows.append({"tool": tool.name, **row})
        print(f"{artifact.name:<14} {line(rows[-1])}", flush=True)
    return rows


def line(row: Json) -> str:
    """One tool's result in a line."""
    if "failed" in row:
        return f"{row['tool']:<42} failed: {row['failed']}"
    found = row["accuracy"]
    says = percent(found["token_agreement"])
    if found["token_agreement"] is None:
        says = f"{found['si_sdr_db']:.1f} dB"
    elif found["near_ties"] is not None:
        says += f" ({percent(found['near_ties']['agreement_excluding'])} without near-ties)"
    return (
        f"{row['tool']:<42} {says}, {megabytes(row['bytes'])}, {row['seconds']:.1f} s, "
        f"peak {megabytes(row['peak_rss_bytes'])}"
    )


def main() -> None:
    """Quantize with every tool and compare; the file is written after each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="?", help="default: the built-in models")
    parser.add_argument("--evaluation-audio", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    voice = Voice()
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        work = Path(folder)
        models = chosen.models if chosen.models is not None else builtin_models(work)
        artifacts = [open_artifact(path) for path in find_models(models)]
        audio = load_audio(None, voice, chosen.evaluation_audio)
        ground = lay_ground(artifacts, audio, work / "ground", 0, voice)
        content: Json = {
            "schema": 1,
            "host": describe_host().as_json(),
            "audio": audio.name,
            "models": [],
        }
        for artifact in artifacts:
            calibration, evaluation = feeds_of(artifact, ground, None, 0, voice)
            paths = (work / "calibration.npz", work / "evaluation.npz")
            calibration.save_npz(paths[0])
            evaluation.save_npz(paths[1])
            truth = reference_truth(artifact, evaluation.feeds)
            content["models"].append(
                {
                    "name": artifact.name,
                    "role": artifact.role.value,
                    "source_bytes": artifact.bytes,
                    "n_calibration_feeds": len(calibration.feeds),
                    "tools": rows_of(artifact, truth, *paths, work),
                }
            )
            write_text(chosen.out, json.dumps(content, indent=1, allow_nan=False) + "\n")


def table(content: Json) -> str:
    """README's table: a row per tool, a column per model, as Markdown."""
    models = content["models"]
    heads = " | ".join(model["name"] for model in models)
    lines = [f"| static and dynamic INT8 by | {heads} |", "|---|" + "---:|" * len(models)]
    for rows in zip(*(model["tools"] for model in models), strict=True):
        cells = " | ".join(_cell(row) for row in rows)
        lines.append(f"| {rows[0]['tool']} | {cells} |")
    return "\n".join(lines)


def _cell(row: Json) -> str:
    if "failed" in row:
        return "failed"
    found = row["accuracy"]
    if found["token_agreement"] is None:
        return f"{found['si_sdr_db']:.1f} dB, {megabytes(row['bytes'])}"
    clear = percent(found["near_ties"]["agreement_excluding"])
    return f"{percent(found['token_agreement'])} ({clear}), {megabytes(row['bytes'])}"


if __name__ == "__main__":
    main()
