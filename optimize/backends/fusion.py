"""Graph fusion by another tool, in a process of its own: a model goes out, a fused one comes back.

These tools hold a model's weights several times over; here they are read again from the tool's file
as they are written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir

from optimize.fusions.order import Form, Fusion
from optimize.recipes import Recipe
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.records.variant import Unmatched
from vampnet_models.text import end_of

_SCRIPT = Path(__file__).with_name("fusion_script.py")
_HERE = Path(sys.executable)


def fused_recipe(tool: str) -> Recipe:
    """Fusion by `onnxruntime` (onnxruntime.transformers) in place of our rules."""
    return Recipe(
        f"fused-{tool}",
        f"float32, fused by {tool}",
        Form.FOREIGN,
        fuse=partial(_fuse_by, tool),
        expect=(),
    )


def _fuse_by(tool: str, model: ir.Model) -> Fusion:
    """Fuse a model in place; each Softmax that is left is an attention that was not fused.

    Raises PromiseMissed with the tool's last line where it fails.
    """
    folder = Path(tempfile.mkdtemp(prefix="vampbench-fusion-"))
    # The graph that comes back reads its weights there.
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    source, out = folder / "source.onnx", folder / "fused.onnx"
    save_model(model, source)
    told = run_tool(tool, _HERE, source, out)
    for path in folder.glob(f"{source.name}*"):
        path.unlink()
    model.graph = load_model(out).graph
    left = (node for node in model.graph if node.op_type == "Softmax")
    unmatched = (Unmatched("attention", n.name or "", f"{tool} left it") for n in left)
    return Fusion(told["counts"], tuple(unmatched))


def run_tool(tool: str, interpreter: Path, source: Path, out: Path) -> dict[str, Any]:
    """What the tool's process said: `counts`, `seconds`, `peak_rss_bytes`.

    Raises PromiseMissed where it made nothing.
    """
    command = [str(interpreter), "-P", str(_SCRIPT), tool, str(source), str(out)]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0 or not out.is_file():
        raise PromiseMissed(f"{source.name}: {tool} failed: {_where(done.stderr)}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _where(log: str) -> str:
    """The last line of a traceback, with the last place in the code before it."""
    lines = log.strip().splitlines() or ["it said nothing"]
    places = [line.strip().rpartition("/")[2] for line in lines if line.startswith("  File ")]
    said = end_of(lines[-1], 300)
    return f"{said} ({places[-1]})" if places else said
