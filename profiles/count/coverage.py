"""How much of a graph a runtime's kernels cover: by nodes, by FLOPs, with the reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from profiles.count.examine import Examined
from vampnet_models.shapes.tensor_shapes import Shapes

Supports = Callable[[ir.Node, Shapes], str | None]
"""Answers None when the runtime takes the node, else why it does not."""

_FREE = frozenset({"Constant"})


@dataclass(frozen=True)
class Refusal:
    """Nodes of one operator refused for one reason."""

    op_type: str
    reason: str
    nodes: int
    flops: int


@dataclass(frozen=True)
class Coverage:
    """`partitions` is how many separate stretches of supported nodes there are, in graph order:
    each begins and ends with a hand-over to the CPU."""

    runtime: str
    nodes: int
    supported: int
    flops: int
    supported_flops: int
    partitions: int
    refusals: tuple[Refusal, ...]

    @property
    def node_share(self) -> float:
        """Supported nodes of all nodes, 0 to 1."""
        return self.supported / self.nodes if self.nodes else 1.0

    @property
    def flops_share(self) -> float:
        """Supported FLOPs of all FLOPs, 0 to 1."""
        return self.supported_flops / self.flops if self.flops else 1.0

    def as_json(self) -> dict[str, Any]:
        """The record of results.json."""
        return {
            "runtime": self.runtime,
            "nodes": self.nodes,
            "supported": self.supported,
            "node_share": self.node_share,
            "flops_share": self.flops_share,
            "partitions": self.partitions,
            "refusals": [
                {"op_type": r.op_type, "reason": r.reason, "nodes": r.nodes, "flops": r.flops}
                for r in self.refusals
            ],
        }


def coverage(examined: Examined, runtime: str, supports: Supports) -> Coverage:
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
    return Coverage(
        runtime=runtime,
        nodes=nodes,
        supported=supported,
        flops=sum(flops.values()),
        supported_flops=supported_flops,
        partitions=partitions,
        refusals=tuple(sorted(refusals, key=lambda r: (-r.flops, -r.nodes, r.op_type))),
    )
