"""What a fusion is: candidates, a match with reasons, a rewrite."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import onnx_ir as ir

from optimize.surgery.graph import NoMatch
from vampnet_models.records.variant import Unmatched

_Match = TypeVar("_Match")


@dataclass(frozen=True)
class Rule(Generic[_Match]):
    """`candidates` finds what the rule is about, `match` proves it or raises NoMatch.

    `rewrite` changes the graph and cannot fail: everything that could is in `match`. `opset` is the
    first that knows the operators that it writes, where that is newer than every model's.
    """

    name: str
    candidates: Callable[[ir.Graph], Iterable[ir.Node]]
    match: Callable[[ir.Node], _Match]
    rewrite: Callable[[ir.Graph, _Match], None]
    opset: int = 0


def apply(rule: Rule[_Match], graph: ir.Graph) -> tuple[int, list[Unmatched]]:
    """Apply a rule to each of its candidates: how many were rewritten, and the others."""
    count, unmatched = 0, []
    for node in list(rule.candidates(graph)):
        # The rewrite of a candidate before may have taken this one away.
        if node.graph is None:
            continue
        try:
            match = rule.match(node)
        except NoMatch as reason:
            unmatched.append(Unmatched(rule.name, node.name or node.op_type, str(reason)))
            continue
        rule.rewrite(graph, match)
        count += 1
    return count, unmatched
