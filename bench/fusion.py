"""What each tool fuses: ours, onnxruntime.transformers, onnxscript, onnxruntime-tools.

    python -m bench.fusion [MODEL ...] [--tools-python PYTHON]

On the graphs that torch's exporters made of eager models of full depth (tests/fixtures/exported),
on the built-in coarse model, and on the models that are named. Each tool runs in a process of its
own; the retired onnxruntime-tools 1.7.0 by the interpreter of `make env-tools`. Counts are of the
fused graph, whoever made it: attentions, normalizations and GELUs that are one operator each. The
fused graph is then run beside its source on the same inputs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from bench import ROOT
from optimize.backends.fusion import run_tool
from optimize.backends.fusion_script import peak_rss_bytes
from profiles.host import describe_host
from vampnet_models.cache import Json
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import WorkbenchError
from vampnet_models.onnxfile.artifact import load_model, open_artifact, write_text
from vampnet_models.onnxfile.operators import ATTENTION_OPS, GELU_OPS, NORM_OPS
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.records.generic import as_json

_EXPORTED = ROOT / "tests" / "fixtures" / "exported"
_RESULTS = ROOT / "bench" / "results" / "fusion.json"
_OURS = "ours"
_TOOLS = (_OURS, "onnxruntime", "onnxscript", "onnxruntime-tools")
_PARTS = {
    "attentions": ATTENTION_OPS,
    "norms": NORM_OPS,
    "gelus": GELU_OPS,
}
_FRAMES = 17
_SMALLEST_TABLE = 32
"""Codes below this exist in every model here."""


def _ours(source: Path, out: Path) -> Json:
    """Our recipe, without opening the result in the runtime."""
    from optimize.build import build_variant
    from optimize.recipes import find_recipe

    started_s = time.perf_counter()
    made = build_variant(open_artifact(source), find_recipe("fused"), out, check_load=False)
    return {
        "counts": {rule: n for rule, n in made.record.fusions.items() if n},
        "seconds": time.perf_counter() - started_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def fused_by(tool: str, source: Path, out: Path, tools_python: Path) -> Json:
    """One tool on one model: what it said and what the result holds, or why it failed."""
    try:
        if tool == _OURS:
            command = [sys.executable, "-m", "bench.fusion", "--child", str(source), str(out)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            told = json.loads(done.stdout.strip().splitlines()[-1])
        elif tool == "onnxruntime-tools" and not tools_python.is_file():
            return {"failed": f"{tools_python} is missing: `make env-tools`"}
        else:
            python = tools_python if tool == "onnxruntime-tools" else Path(sys.executable)
            told = run_tool(tool, python, source, out)
        counts = Counter(node.op_type for node in load_model(out).graph)
    except (WorkbenchError, subprocess.CalledProcessError) as error:
        return {"failed": str(error).partition(f"{tool} failed: ")[2] or str(error)}
    parts = {part: sum(counts[op] for op in ops) for part, ops in _PARTS.items()}
    return told | parts | {"nodes": counts.total()} | compared(source, out)


def compared(source: Path, fused: Path) -> Json:
    """Whether both choose the same tokens, and the largest difference of float outputs."""
    try:
        before, after = (open_session(path, threads=1) for path in (source, fused))
        feeds = _feeds_of(source)
        expected, got = before.run(feeds), after.run(feeds)
    except WorkbenchError as error:
        return {"does_not_run": str(error)[-300:]}
    floats = [n for n, v in expected.items() if v.dtype.kind == "f"]
    difference = max((float(np.abs(expected[n] - got[n]).max()) for n in floats), default=0.0)
    tokens = {n: v for n, v in expected.items() if v.dtype.kind == "i"}
    same = all((got[n] == v).all() for n, v in tokens.items())
    if not tokens and "mask" in feeds:
        same = all((expected[n].argmax(axis=1) == got[n].argmax(axis=1)).all() for n in floats)
    has_tokens = bool(tokens) or "mask" in feeds
    return {"same_tokens": same if has_tokens else None, "largest_difference": difference}


def _feeds_of(model: Path) -> Feeds:
    """Two clips of noise or of random codes."""
    spec, rng = open_artifact(model).spec, np.random.default_rng(0)
    feeds: Feeds = {}
    for tensor in spec.inputs:
        if tensor.name == "audio":
            feeds["audio"] = 0.3 * rng.standard_normal((2, 1, 768 * _FRAMES)).astype(np.float32)
        else:
            n_books = tensor.shape[1]
            top = 2 if tensor.name == "mask" else _SMALLEST_TABLE
            feeds[tensor.name] = rng.integers(0, top, (2, n_books, _FRAMES))
    return feeds


def line(model: str, row: Json) -> str:
    """One tool on one model."""
    if "failed" in row:
        return f"{model:<16} {row['tool']:<18} failed: {row['failed']}"
    parts = ", ".join(f"{row[part]} {part}" for part in _PARTS)
    said = (
        row.get("does_not_run")
        or (
            f"tokens {'same' if row['same_tokens'] else 'differ'}, "
            if row["same_tokens"] is not None
            else ""
        )
        + f"largest difference {row['largest_difference']:.1e}"
    )
    return (
        f"{model:<16} {row['tool']:<18} {parts}, {row['nodes']} nodes, {row['seconds']:.1f} s, "
        f"{row['peak_rss_bytes'] / 1e6:.0f} MB; {said}"
    )


def _sources(work: Path, named: list[Path]) -> dict[str, Path]:
    """The models by name; packed fixtures are unpacked into `work`."""
    found = {}
    for packed in sorted(_EXPORTED.glob("*.onnx.gz")):
        path = work / packed.stem
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        found[path.stem] = path
    found["built-in coarse"] = builtin_models(work) / "coarse.onnx"
    return found | {f"{path.stem}, {path.parent.name}": path.resolve() for path in named}


def _main() -> None:
    """Fuse with every tool and compare; the file is written after each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--tools-python", type=Path, default=ROOT / ".venv-tools/bin/python")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(_ours(*chosen.models)))
        return
    content: Json = {"schema": 1, "host": as_json(describe_host()), "models": {}}
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        for name, source in _sources(Path(folder), chosen.models).items():
            rows = content["models"].setdefault(name, [])
            for tool in _TOOLS:
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    out = Path(place) / "fused.onnx"
                    rows.append({"tool": tool} | fused_by(tool, source, out, chosen.tools_python))
                print(line(name, rows[-1]), flush=True)
            write_text(chosen.results, json.dumps(content, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    _main()
