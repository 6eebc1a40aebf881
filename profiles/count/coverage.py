"""How much of a graph a runtime's kernels cover: by nodes, by FLOPs, with the reasons."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from profiles.count.examine import Examined
from vampnet_models.records.profiles import Refusal, RuntimeCoverage
from vampnet_models.shapes.tensor_shapes import Shapes

Supports = Callable[[ir.Node, Shapes], str | None]
"""Answers None when the runtime takes the node, else why it does not."""

_FREE = frozenset({"Constant"})


def coverage(examined: Examined, runtime: str, supports: Supports) -> RuntimeCoverage:
    """Ask `supports` about every node of the main graph, constants left out."""
    flops = {cost.index: cost.flops for cost in examined.cost.nodes}
    refused: dict[tuple[str, str], list[int]] = {}
    nodes = supported = supported_flops = partitions = 0
    inside = False
    for index, node in enumerate(examined.model.graph):
        if node.op_type in _FREE:
            continue
        nodes += 1
        reason = supports(node, examined.shapes)
        if reason is None:
            supported += 1
            supported_flops += flops.get(index, 0)
            partitions += not inside
        else:
            refused.setdefault((node.op_type, reason), []).append(flops.get(index, 0))
        inside = reason is None
    refusals = (
        Refusal(op_type, reason, len(each), sum(each))
        for (op_type, reason), each in refused.items()
    )
    total = sum(flops.values())
    return RuntimeCoverage(
        runtime=runtime,
        nodes=nodes,
        supported=supported,
        node_share=supported / nodes if nodes else 1.0,
        flops_share=supported_flops / total if total else 1.0,
        partitions=partitions,
        refusals=tuple(sorted(refusals, key=lambda r: (-r.flops, -r.nodes, r.op_type))),
    )
