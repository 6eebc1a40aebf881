"""Where the time of one run goes: by operator and by block, from ONNX Runtime's own profile.

The profile is of the graph as the runtime optimized it, so its operators are the fused ones.
Profiling slows runs of many small operators; times of whole runs come from `measure` instead.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiles.measure.process import ChildFailed, child
from profiles.measure.rounds import lead_runs
from profiles.measure.stats import percentile
from profiles.place import Place
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.operators import INTEGER_PRODUCT_OPS, VIEW_OPS
from vampnet_models.records.profiles import KernelShare, OperatorTimes
from vampnet_models.scratch import scratch_folder
from vampnet_models.shapes.flops import flops_of
from vampnet_models.shapes.tensor_shapes import Shape

_ITEM_BYTES = {
    **{"double": 8.0, "int64": 8.0, "uint64": 8.0, "float": 4.0, "int32": 4.0, "uint32": 4.0},
    **{"float16": 2.0, "bfloat16": 2.0, "int16": 2.0, "uint16": 2.0},
    **{"int8": 1.0, "uint8": 1.0, "bool": 1.0, "int4": 0.5, "uint4": 0.5},
}
_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class _KernelRun:
    """One execution of one kernel; shapes in the operator's order."""

    node: str
    op_type: str
    provider: str
    seconds: float
    flops: int
    bytes: int


def profile_operators(
    path: Path, feeds_path: Path, place: Place, *, warmups: int = 3, runs: int = 7
) -> OperatorTimes:
    """Profile a model in a process of its own, after `warmups` runs and those of a lead-in.

    Raises InputError when it does not run.
    """
    with scratch_folder() as folder:
        try:
            with child(path, feeds_path, place, profile=folder / "profile") as process:
                lead = lead_runs(process.run(warmups))
                process.run(lead + runs)
                written = process.end_profile()
        except ChildFailed as error:
            raise InputError(f"{path}: no operator profile: {error}") from None
        events = json.loads(written.read_text(encoding="utf-8"))
    return summarise_events(events, warmups + lead)


def summarise_events(events: Sequence[Mapping[str, Any]], warmups: int = 0) -> OperatorTimes:
    """Sum a trace by operator and by block; each row is the median over the runs.

    The first `warmups` runs are left out. ValueError when no run remains.
    """
    spans = [
        (e["ts"], e["ts"] + e["dur"])
        for e in events
        if e.get("cat") == "Session" and e["name"] == "model_run"
    ][warmups:]
    if not spans:
        raise ValueError("the trace holds no run after the warm-up")
    kernels = [e for e in events if e.get("cat") == "Node" and e["name"].endswith(_SUFFIX)]
    runs = [
        [_kernel(e) for e in kernels if start <= e["ts"] <= end] for start, end in sorted(spans)
    ]
    sums = [sum(k.seconds for k in run) for run in runs]
    walls = [(end - start) / 1e6 for start, end in sorted(spans)]
    outside = [wall - inside for wall, inside in zip(walls, sums, strict=True)]
    return OperatorTimes(
        runs=len(runs),
        kernels_s=percentile(sums, 50),
        outside_s=max(0.0, percentile(outside, 50)),
        by_operator=_stack(runs, lambda k: k.op_type),
        by_block=_stack(runs, lambda k: block_of(k.node)),
        by_node=_stack(runs, lambda k: f"{k.op_type} {k.node}"),
    )


def block_of(node: str) -> str:
    """The block that a node's name says it is in: up to the first number in the path.

    `encoder.block.2.block.0/Conv` is in `encoder.block.2`. Names that the runtime made up for
    nodes of its own have no path.
    """
    parts = [part for part in re.split(r"[./]", node) if part]
    if len(parts) < 2:
        return "(runtime)"
    for i, part in enumerate(parts[:-1]):
        if part.isdigit():
            return ".".join(parts[: i + 1])
    return parts[0]


def _stack(
    runs: Sequence[Sequence[_KernelRun]], key: Callable[[_KernelRun], str]
) -> tuple[KernelShare, ...]:
    seconds: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(runs))
    for i, run in enumerate(runs):
        for kernel in run:
            seconds[key(kernel)][i] += kernel.seconds
    members: dict[str, list[_KernelRun]] = defaultdict(list)
    for kernel in runs[-1]:
        members[key(kernel)].append(kernel)
    medians = {name: percentile(each, 50) for name, each in seconds.items()}
    total = sum(medians.values()) or 1.0
    rows = []
    for name, median in sorted(medians.items(), key=lambda item: -item[1]):
        kernels = members[name]
        flops = sum(k.flops for k in kernels)
        rows.append(
            KernelShare(
                name=name,
                calls=len(kernels),
                seconds=median,
                share=median / total,
                flops=flops,
                integer_flops=sum(k.flops for k in kernels if k.op_type in INTEGER_PRODUCT_OPS),
                bytes=sum(k.bytes for k in kernels),
                flops_per_s=flops / median if median else 0.0,
            )
        )
    return tuple(rows)


def _kernel(event: Mapping[str, Any]) -> _KernelRun:
    arguments = event["args"]
    op_type = arguments["op_name"]
    inputs = _tensors(arguments.get("input_type_shape", []))
    outputs = _tensors(arguments.get("output_type_shape", []))
    moved = 0 if op_type in VIEW_OPS else sum(size for _, size in (*inputs, *outputs))
    return _KernelRun(
        node=event["name"].removesuffix(_SUFFIX),
        op_type=op_type,
        provider=arguments["provider"],
        seconds=event["dur"] / 1e6,
        flops=_flops(op_type, [s for s, _ in inputs], [s for s, _ in outputs]),
        bytes=moved,
    )


def _flops(op_type: str, inputs: list[Shape], outputs: list[Shape]) -> int:
    try:
        return flops_of(op_type, inputs, outputs)
    except IndexError:
        # A layout that the runtime made up (blocked weights): unknown, so not counted.
        return 0


def _tensors(described: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[Shape, int]]:
    """(shape, bytes) of `[{"float": [1, 2]}, ...]`."""
    found = []
    for tensor in described:
        for dtype, dims in tensor.items():
            shape = tuple(int(d) for d in dims)
            found.append((shape, math.ceil(math.prod(shape) * _ITEM_BYTES.get(dtype, 4.0))))
    return found
