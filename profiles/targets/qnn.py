"""Qualcomm's NPU by its real compiler, on x86: what it takes, and what its arithmetic says.

Two levels of evidence. *Compiled*: the compiler made a context binary for that NPU, and its trace
names each node it refused. *Emulated*: the same library executed the graph as the NPU computes it.
Neither says anything about speed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from profiles.count.examine import examine
from vampnet_models.errors import InputError, reason_in
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.records.evidence import Compiled, Emulated
from vampnet_models.records.profiles import Refusal
from vampnet_models.scratch import scratch_folder
from vampnet_models.shapes.fix_shapes import fix_shapes

PACKAGE = "onnxruntime-qnn"
_INSTALL = 'pip install "vampnet-workbench[qnn]"'
_EMULATED_FLOPS = 30e9
"""Emulating more than this, over all states, takes longer than anyone waits."""

_TIMEOUT_S = 420
"""Emulating the quantized decoder, the slowest of the built-in models, takes six minutes."""
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Soc:
    """A chip by Qualcomm's own numbers: `model` of the chip, `arch` of its Hexagon."""

    name: str
    model: int
    arch: int


SOCS = (Soc("Snapdragon 8 Gen 3", 57, 75), Soc("Snapdragon 8 Elite", 69, 79))


def unavailable() -> str | None:
    """Why nothing can be compiled here; None when the extra is installed."""
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        return f"not measured: {_INSTALL}"
    return None


def compile_variant(
    variant: Path,
    reference: Path,
    states: Sequence[Feeds],
    *,
    soc: Soc = SOCS[0],
    emulate: bool = True,
    timeout_s: float = _TIMEOUT_S,
) -> Compiled:
    """Compile `variant` for the shapes of the states, and compare its tokens with `reference`.

    The states are short and all of one shape: emulation is slow. Raises InputError when the extra
    is missing, the model does not compile, or the compiler's process dies or takes `timeout_s`.
    """
    missing = unavailable()
    if missing is not None:
        raise InputError(missing)
    shapes = {name: tuple(values.shape) for name, values in states[0].items()}
    cost = examine(variant, shapes).cost
    too_much = cost.flops * len(states) > _EMULATED_FLOPS
    wanted = emulate and not too_much
    with scratch_folder() as folder:
        fixed = folder / "model.onnx"
        fix_shapes(variant, shapes, fixed)
        feeds = folder / "feeds.npz"
        arrays = {f"{i}/{name}": x for i, each in enumerate(states) for name, x in each.items()}
        np.savez(feeds, allow_pickle=False, **arrays)
        result = _child(variant, fixed, feeds, folder, soc, wanted, timeout_s)
        trace = _trace(folder, variant)
        refusals, unnamed = _refusals(trace, {n.name: n.flops for n in cost.nodes if n.name})
        lost = sum(r.flops for r in refusals)
        summary = trace["summary"]
        nodes, supported = summary["total_onnx_nodes"], summary["supported_nodes"]
        emulated = _emulated(folder, variant, reference, states, result) if wanted else None
        return Compiled(
            soc=soc.name,
            input_shapes=shapes,
            nodes=nodes,
            supported=supported,
            node_share=supported / nodes if nodes else 1.0,
            flops=cost.flops,
            flops_share=1 - lost / cost.flops if cost.flops else 1.0,
            partitions=summary["qnn_subgraphs"],
            qnn_operators=summary["total_qnn_ops"],
            context_bytes=sum(p.stat().st_size for p in folder.glob("context*")),
            compile_s=result["compile_s"],
            refusals=refusals,
            unnamed=unnamed,
            emulated=emulated,
            not_emulated=_why_not(emulate, too_much, cost.flops * len(states)),
        )


def _why_not(emulate: bool, too_much: bool, flops: int) -> str | None:
    if not emulate:
        return "not asked for"
    if too_much:
        return f"{flops / 1e9:.0f} GFLOP in all would take too long; give fewer frames or states"
    return None


def _child(
    variant: Path,
    fixed: Path,
    feeds: Path,
    folder: Path,
    soc: Soc,
    emulate: bool,
    timeout_s: float,
) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "profiles.targets.qnn_child"]
    command += [str(fixed), str(feeds), str(folder), f"--soc={soc.model}", f"--arch={soc.arch}"]
    command += ["--emulate"] if emulate else []
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            env=os.environ | {"PYTHONPATH": path},
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{variant}: the NPU's compiler and emulator took over {timeout_s:.0f} s; give fewer "
            "frames or states, or do not emulate"
        ) from None
    written = folder / "result.json"
    if done.returncode != 0 or not written.is_file():
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        last = reason_in(said[-1], 400) if said else "no message"
        raise InputError(
            f"{variant}: the NPU's compiler ended with exit code {done.returncode}: {last}"
        )
    result: dict[str, Any] = json.loads(written.read_text())
    if not any("QNN" in provider for provider in result["providers"]):
        raise InputError(f"{variant}: the NPU's provider fell back to {result['providers']}")
    return result


def _trace(folder: Path, variant: Path) -> dict[str, Any]:
    path = folder / "qnn_op_trace.json"
    if not path.is_file():
        raise InputError(f"{variant}: the NPU's compiler wrote no trace; update {PACKAGE}")
    trace: dict[str, Any] = json.loads(path.read_text())
    return trace


def _refusals(
    trace: Mapping[str, Any], flops: Mapping[str, int]
) -> tuple[tuple[Refusal, ...], int]:
    """Refused nodes by operator and reason, the most FLOPs first; how many have no such name."""
    grouped: dict[tuple[str, str], list[int]] = {}
    unnamed = 0
    for node in trace["unsupported_nodes"]:
        name = node.get("node_name", "")
        unnamed += name not in flops
        reason = _shortened(node.get("reason") or "no reason given", name, node["op_type"])
        grouped.setdefault((node["op_type"], reason), []).append(flops.get(name, 0))
    found = [Refusal(op, why, len(each), sum(each)) for (op, why), each in grouped.items()]
    return tuple(sorted(found, key=lambda r: (-r.flops, -r.nodes, r.op_type))), unnamed


def _shortened(reason: str, name: str, op_type: str) -> str:
    """The compiler's reason without the node's own name, so that equal ones count together."""
    text = re.split(rf"{op_type} node `", reason)[0] if name else reason
    return " ".join(text.replace(f"`{name}`", "it").replace("`", "").split()).strip(" .") or reason


def _emulated(
    folder: Path,
    variant: Path,
    reference: Path,
    states: Sequence[Feeds],
    result: Mapping[str, Any],
) -> Emulated:
    ours, theirs = open_session(variant), open_session(reference)
    integers = {
        value.name
        for value in load_model(reference).graph.outputs
        if value.dtype is not None and value.dtype.is_integer()
    }
    output = next((n for n in theirs.output_names if n in integers), theirs.output_names[0])
    pairs: dict[str, list[tuple[Any, Any]]] = {"npu": [], "same": [], "cpu": []}
    with np.load(folder / "outputs.npz") as archive:
        for index, feeds in enumerate(states):
            npu = archive[f"{index}/{output}"]
            cpu, truth = ours.run(feeds)[output], theirs.run(feeds)[output]
            counted = _counted(feeds, truth)
            for key, pair in (("npu", (truth, npu)), ("same", (cpu, npu)), ("cpu", (truth, cpu))):
                pairs[key].append((pair[0][counted], pair[1][counted]))
    joined = {
        k: tuple(np.concatenate(part) for part in zip(*v, strict=True)) for k, v in pairs.items()
    }
    tokens = output in integers
    score = _share if tokens else si_sdr_db
    return Emulated(
        measure="tokens" if tokens else "si_sdr_db",
        to_reference=score(*joined["npu"]),
        to_variant=score(*joined["same"]),
        variant_to_reference=score(*joined["cpu"]),
        n_positions=int(joined["npu"][0].size),
        states=len(states),
        seconds=tuple(result["emulation_s"]),
    )


def _counted(feeds: Feeds, values: Any) -> Any:
    """Where tokens count: masked positions of a transformer, everything of a codec."""
    if "mask" in feeds:
        mask = feeds["mask"][:, -values.shape[1] :]
        if mask.shape == values.shape:
            return mask.astype(bool)
    return np.ones(values.shape, bool)


def _share(one: Any, other: Any) -> float:
    return float((one == other).mean())


def si_sdr_db(reference: Any, estimate: Any) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), at most 200 dB."""
    reference, estimate = (x.astype(np.float64) - x.mean() for x in (reference, estimate))
    target = reference * (estimate @ reference) / (reference @ reference + 1e-20)
    noise = estimate - target
    return float(10 * np.log10((target @ target + 1e-20) / (noise @ noise + 1e-20)))
