"""Neural Compressor 3.7.1, the last release with ONNX code, in an environment of its own.

It needs an older numpy and onnx, so its interpreter runs `inc_script.py` on the fused model. What
comes back is read, counted node by node, and written as any variant is.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optimize.fusions.order import Form
from optimize.precision.contract import Conversion, Evidence, Needs, Plan, Precision, Traits
from optimize.precision.shared.plan import float_node, table_lookups
from optimize.recipes import INTEGER_SHARE, Recipe
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.operators import HEAVY_OPS, INTEGER_PRODUCT_OPS, NBITS, WEIGHT_OPS
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.variant import FloatNode
from vampnet_models.scratch import scratch_folder
from vampnet_models.text import end_of

_SCRIPT = Path(__file__).with_name("inc_script.py")
_VERSION_LINE = "from importlib.metadata import version; print(version('neural-compressor'))"
_CALIBRATED = ("static", "smoothquant", "gptq", "awq")
"""The methods that run the model on feeds."""

_WARNING = "warning: "
"""What starts a line of the script's output that is for the user."""

_LEFT = "Neural Compressor left it in float"
_NOT_PACKED = "Neural Compressor packed no integers (it rounds 8-bit weights and stores float32)"


def inc_version(interpreter: Path) -> str:
    """The version that this interpreter has; InputError, with what to do, where it has none."""
    todo = "run `make env-inc`, or name its interpreter by --inc-python"
    if not interpreter.is_file():
        raise InputError(f"{interpreter}: no such file, so no neural-compressor; {todo}")
    command = [str(interpreter), "-P", "-c", _VERSION_LINE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean())
    if done.returncode != 0:
        raise InputError(f"{interpreter}: has no neural-compressor; {todo}")
    return done.stdout.strip()


def int8_recipe(mode: str, interpreter: Path) -> Recipe:
    """Static INT8, with or without SmoothQuant, or dynamic. Raises InputError without the tool."""
    name = "int8-dynamic" if mode == "dynamic" else "int8-static"
    suffix = "-smoothquant" if mode == "smoothquant" else ""
    return _recipe(
        f"{name}-neural-compressor-{inc_version(interpreter)}{suffix}", mode, interpreter
    )


def weights_recipe(bits: str, block: str, method: str, interpreter: Path) -> Recipe:
    """The weights of MatMuls to nearest (symmetric, asymmetric), by GPTQ or by AWQ.

    Raises InputError for a method that the tool does not have, and without the tool.
    """
    known = {"symmetric": "rtn", "asymmetric": "rtn", "gptq": "gptq", "awq": "awq"}
    if method not in known:
        raise InputError(f"{method}: Neural Compressor has no such method; see `weights --help`")
    scheme = "sym" if method == "symmetric" else "asym"
    size = "-1" if block == "channel" else block
    name = f"int{bits}-weights-neural-compressor-{inc_version(interpreter)}"
    arguments = (bits, size, scheme)
    return _recipe(
        f"{name}-{known[method]}-{block}-{scheme}", known[method], interpreter, arguments
    )


def _recipe(name: str, method: str, interpreter: Path, arguments: Sequence[str] = ()) -> Recipe:
    return Recipe(
        name,
        f"Neural Compressor, {method}",
        Form.FLOAT,
        _NeuralCompressor(method, interpreter, tuple(arguments)),
        integer_share=INTEGER_SHARE if method in ("static", "dynamic", "smoothquant") else None,
    )


@dataclass(frozen=True)
class _NeuralCompressor(Precision[Plan]):
    """What the tool's `method` makes of a model, run by this `interpreter`."""

    method: str
    interpreter: Path
    arguments: tuple[str, ...]

    @property
    def needs(self) -> Needs:
        """The feeds, where the method runs the model."""
        return Needs.FEEDS if self.method in _CALIBRATED else Needs.NOTHING

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """The nodes with weights; which of them it leaves the tool tells afterwards."""
        return Plan(tuple(n for n in graph if n.op_type in WEIGHT_OPS), (), traits=traits)

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Hand the model to the tool, and take over what it made."""
        with scratch_folder() as folder:
            fused = folder / "fused.onnx"
            save_model(model, fused)
            return _quantized(
                model, fused, evidence.feeds, self.method, self.interpreter, self.arguments
            )


def _quantized(
    model: ir.Model,
    fused: Path,
    feeds: Sequence[Feeds],
    method: str,
    interpreter: Path,
    arguments: Sequence[str],
) -> Conversion:
    """Run the tool on the fused model and take over the graph that it made.

    Raises PromiseMissed with its last line where it fails.
    """
    with scratch_folder() as folder:
        archive, out = folder / "feeds.npz", folder / "quantized.onnx"
        arrays = {f"{name}/{i}": v for i, feed in enumerate(feeds) for name, v in feed.items()}
        if arrays:
            np.savez(archive, allow_pickle=False, **arrays)
        files = [str(each) for each in (_SCRIPT, fused.resolve(), archive, out)]
        # Not resolved: where the link leads, there is no environment.
        command = [str(interpreter.absolute()), "-P", *files, method, *arguments]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=_clean()
        )
        if done.returncode != 0 or not out.is_file():
            raise PromiseMissed(f"{fused.name}: neural-compressor failed: {_reason(done.stderr)}")
        made = ir.load(out)
    model.graph = made.graph
    found = counted(made.graph, _NOT_PACKED if method in ("rtn", "gptq", "awq") else _LEFT)
    said = [line for line in done.stdout.splitlines() if line.startswith(_WARNING)]
    return replace(found, warnings=tuple(line.removeprefix(_WARNING) for line in said))


def counted(graph: ir.Graph, reason: str = _LEFT) -> Conversion:
    """What a tool's graph holds: nodes with quantized weights by kind, and those left in float."""
    counts: Counter[str] = Counter()
    left: list[FloatNode] = []
    for node in graph:
        kind = _precision(node)
        if kind is not None:
            counts[kind] += 1
        elif node.op_type in HEAVY_OPS:
            has_weight = node.op_type in WEIGHT_OPS
            left.append(float_node(node, reason if has_weight else _LEFT))
            counts["float32"] += has_weight
    used = {kind: n for kind, n in counts.items() if n}
    return Conversion(used, (*left, *table_lookups(graph)))


def _precision(node: ir.Node) -> str | None:
    if node.op_type == NBITS:
        return f"int{node.attributes['bits'].as_int()}"
    if node.op_type in INTEGER_PRODUCT_OPS:
        return "int8"
    if node.op_type not in WEIGHT_OPS:
        return None
    makers = [None if v is None else v.producer() for v in node.inputs[:2]]
    is_integer = all(m is not None and m.op_type == "DequantizeLinear" for m in makers)
    return "int8" if is_integer else None


def _reason(log: str) -> str:
    """The last exception that the tool logged (it goes on after most), or its last line."""
    lines = log.strip().splitlines() or ["nothing was written"]
    raised = [line for line in lines if re.match(r"[A-Za-z_.]+(Error|Exception)\b", line)]
    return end_of((raised or lines)[-1], 300)


def _clean() -> dict[str, str]:
    """This process's environment without what would lead another interpreter to our packages."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
