"""Where each node really ran, and which kernel took the attention.

    python -m bench.cuda.placement MODEL.onnx FEEDS.npz PROVIDER OUT.json

writes, for one model, which provider ran its nodes in one inference, as the runtime's own profile
tells. With ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO=1 the CUDA provider also prints the kernel of
each attention (`SdpaKernel=...`): MATH is the one that is not fused.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench import ROOT
from bench.cuda.setting import BASELINE, TRANSFORMERS, Setting
from vampnet_models.cache import Json
from vampnet_models.errors import InputError, WorkbenchError, reason_in
from vampnet_models.onnxfile.operators import ATTENTION_OPS
from vampnet_models.onnxfile.session import open_session
from vampnet_models.scratch import scratch_folder

_SUFFIX = "_kernel_time"
_ASKED = {"ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO": "1"}
_KERNEL = re.compile(r"SdpaKernel=(\w+)")
_UNFUSED = "MATH"


def place_models(setting: Setting) -> Json:
    """Per model and row where its nodes ran; `problems` are those of the fused attention."""
    rows: Json = {
        stem: {
            row: _placed(path, setting.feed(stem), setting.place.provider)
            for row, path in setting.rows(stem).items()
        }
        for stem in setting.stems()
    }
    return {"models": rows, "problems": problems(rows, setting.place.provider)}


def problems(rows: Json, provider: str) -> list[str]:
    """A line for each variant of a transformer whose attention is not fused on the provider."""
    found = []
    for stem in TRANSFORMERS:
        for row, placed in rows.get(stem, {}).items():
            if row == BASELINE or "failed" in placed:
                continue
            elsewhere = {p for each in placed["attention"].values() for p in each} - {provider}
            if not placed["attention"]:
                found.append(f"{stem} {row}: no fused attention in the runtime's graph")
            elif elsewhere:
                found.append(f"{stem} {row}: attention on {', '.join(sorted(elsewhere))}")
            elif _UNFUSED in placed["attention_kernels"]:
                found.append(f"{stem} {row}: the kernel of its attention is not a fused one")
    return found


def summarised(events: list[dict[str, Any]], provider: str) -> Json:
    """Of a profile with one inference: nodes by provider, names elsewhere, attention, copies.

    A Memcpy node copies between the host and the device.
    """
    nodes = [
        (e["name"].removesuffix(_SUFFIX), e["args"]["op_name"], e["args"]["provider"])
        for e in events
        if e.get("cat") == "Node" and e["name"].endswith(_SUFFIX)
    ]
    elsewhere: dict[str, list[str]] = {}
    for name, op, where in nodes:
        if where != provider:
            elsewhere.setdefault(op, []).append(name)
    attention: dict[str, Counter[str]] = {}
    for _, op, where in nodes:
        if op in ATTENTION_OPS:
            attention.setdefault(op, Counter())[where] += 1
    return {
        "nodes": dict(Counter(where for _, _, where in nodes)),
        "elsewhere": elsewhere,
        "attention": {op: dict(found) for op, found in attention.items()},
        "copies": sum(op.startswith("Memcpy") for _, op, _ in nodes),
    }


def _placed(model: Path, feed: Path, provider: str) -> Json:
    """One model, in a process of its own; `failed` where it does not run."""
    with scratch_folder() as folder:
        out = folder / "placed.json"
        command = [sys.executable, "-m", "bench.cuda.placement"]
        command += map(str, (model, feed, provider, out))
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | _ASKED, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"failed": reason_in(said[-1])}
        found: Json = json.loads(out.read_text(encoding="utf-8"))
    return {**found, "attention_kernels": kernels(done.stdout)}


def kernels(printed: str) -> dict[str, int]:
    """How often the provider says that it took each kernel; nothing of ONNX's own Attention."""
    return dict(Counter(_KERNEL.findall(printed)))


def _main(model: str, feed: str, provider: str, out: str) -> None:
    with np.load(feed) as archive:
        feeds = {name: archive[name] for name in archive.files}
    with scratch_folder() as folder:
        session = open_session(
            Path(model),
            providers=[provider],
            profile_prefix=folder / "profile",
            portable_instead=False,
        )
        session.run(feeds)
        written = Path(session.raw.end_profiling())
        events = json.loads(written.read_text(encoding="utf-8"))
    found = summarised(events, provider)
    if not found["nodes"]:
        raise InputError(f"{model}: the runtime's profile holds no node")
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:5])
    except WorkbenchError as error:
        sys.exit(str(error))
