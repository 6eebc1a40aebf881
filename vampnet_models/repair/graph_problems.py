"""What is wrong with a graph as such: names, order, sizes. Read off the message, nothing is run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import onnx
from onnx import shape_inference

from vampnet_models.onnxfile.artifact import EXTERNAL_FROM_BYTES
from vampnet_models.onnxfile.followed import infer_shapes
from vampnet_models.onnxfile.operators import RUNTIME_DOMAINS
from vampnet_models.onnxfile.wire import skeleton
from vampnet_models.records.results import Problem
from vampnet_models.text import end_of, one_line

_NAMED = 3

_EACH_ERROR = re.compile(r"\(op_type:.*?(?=\(op_type:|\Z)", re.DOTALL)
_SAY_NOTHING = (
    "expected to have type but instead is null",
    "Cannot parse data from external tensors",
)
"""How ONNX's shape inference lists what it found, and what of it is no contradiction."""


def graph_problems(path: Path) -> list[Problem]:
    """Cycles, values from nowhere, names twice, sizes that disagree, types that nothing tells.

    `path` is a model that `load_model` has read.
    """
    is_large = path.stat().st_size >= EXTERNAL_FROM_BYTES
    proto = onnx.ModelProto.FromString(skeleton(path) if is_large else path.read_bytes())
    found = list(_of_graph(proto.graph, frozenset()))
    for function in proto.functions:
        found += _of_nodes(function.node, set(function.input), function.output, function.name)
    strange = _strange_operators(proto)
    if strange:
        text = (
            f"{_named(strange)}: no operator of ONNX Runtime: it needs the library that has it, "
            "which the workbench does not load"
        )
        found.append(Problem("custom-operators", text))
    if found or _has_sparse(proto.graph):
        return found
    return [*_of_sizes(proto), *_of_types(proto)]


def _of_graph(graph: onnx.GraphProto, outer: Set[str]) -> Iterator[Problem]:
    known = outer | {v.name for v in graph.input} | {v.name for v in graph.initializer}
    known |= {sparse.values.name for sparse in graph.sparse_initializer}
    yield from _of_nodes(graph.node, known, [v.name for v in graph.output], graph.name)


def _of_nodes(
    nodes: Iterable[onnx.NodeProto], known: Set[str], outputs: Iterable[str], where: str
) -> list[Problem]:
    """Problems of one graph, whose nodes see `known`, and of the bodies in it."""
    nodes = list(nodes)
    made = {name for node in nodes for name in node.output if name}
    visible = known | made
    found = []
    names = Counter(node.name for node in nodes if node.name)
    repeated = [name for name, n in names.items() if n > 1]
    if repeated:
        text = f"{_named(repeated)}: the name of several nodes: ONNX Runtime refuses that"
        found.append(Problem("duplicate-names", text, fatal=True))
    read = [name for node in nodes for name in node.input if name]
    lost = dict.fromkeys(name for name in (*read, *outputs) if name not in visible)
    if lost:
        text = f"{_named(lost)}: read in {_called(where)}, and made by nothing"
        found.append(Problem("dangling-values", text, fatal=True))
    circle = _circle(nodes, made)
    if circle:
        text = f"{_named(circle)}: nodes of {_called(where)} that wait for each other"
        found.append(Problem("cycle", text, fatal=True))
    for node in nodes:
        for body in _bodies(node):
            found += _of_graph(body, visible)
    return found


def _circle(nodes: list[onnx.NodeProto], made: Set[str]) -> list[str]:
    """Names of the nodes that cannot be put in an order; what bodies read counts as read."""
    makers = {name: i for i, node in enumerate(nodes) for name in node.output if name in made}
    before = [
        {makers[name] for name in (*node.input, *_captured(node)) if name in makers}
        for node in nodes
    ]
    left = _last(before, set(range(len(nodes))))
    after: list[set[int]] = [set() for _ in nodes]
    for i, each in enumerate(before):
        for j in each:
            after[j].add(i)
    # What only waits for a circle is none of it.
    left = _last(after, left)
    return [nodes[i].name or nodes[i].op_type for i in sorted(left)]


def _last(before: list[set[int]], among: set[int]) -> set[int]:
    """What is left of some nodes when each goes once all that stand before it have gone."""
    waiting = {i: len(before[i] & among) for i in among}
    behind: dict[int, list[int]] = {}
    for i in among:
        for j in before[i] & among:
            behind.setdefault(j, []).append(i)
    ready = [i for i, n in waiting.items() if not n]
    while ready:
        gone = ready.pop()
        del waiting[gone]
        for i in behind.get(gone, ()):
            waiting[i] -= 1
            if not waiting[i]:
                ready.append(i)
    return set(waiting)


def _captured(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the bodies of a node read and do not make themselves, perhaps from outside."""
    for body in _bodies(node):
        own = {v.name for v in (*body.input, *body.initializer)}
        own |= {name for inner in body.node for name in inner.output}
        for inner in body.node:
            yield from (n for n in (*inner.input, *_captured(inner)) if n and n not in own)
        yield from (v.name for v in body.output if v.name not in own)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _strange_operators(proto: onnx.ModelProto) -> list[str]:
    own = {(f.domain, f.name) for f in proto.functions}
    return list(
        dict.fromkeys(
            f"{node.domain}::{node.op_type}"
            for node in _all_nodes(proto.graph)
            if node.domain not in RUNTIME_DOMAINS and (node.domain, node.op_type) not in own
        )
    )


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for body in _bodies(node):
            yield from _all_nodes(body)


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for body in _bodies(node):
            yield from _initializers(body)


def _has_sparse(graph: onnx.GraphProto) -> bool:
    """Whether ONNX's shape inference, which does not know sparse weights, would be at a loss."""
    bodies = (body for node in graph.node for body in _bodies(node))
    return bool(graph.sparse_initializer) or any(_has_sparse(body) for body in bodies)


def _of_sizes(proto: onnx.ModelProto) -> list[Problem]:
    """Where ONNX's shape inference finds that shapes contradict each other."""
    # Values are not followed where some lie in another file: each node that reads one would fail.
    follow = not any(t.data_location == t.EXTERNAL for t in _initializers(proto.graph))
    try:
        infer_shapes(proto, strict=True, follow=follow)
    except shape_inference.InferenceError as error:
        # A node behind one whose type nobody infers fails for that alone, and says nothing.
        errors = _EACH_ERROR.findall(str(error))
        told = [each for each in errors if not any(reason in each for reason in _SAY_NOTHING)]
        return [Problem("sizes-disagree", end_of(told[0], 300), fatal=True)] if told else []
    except Exception:  # noqa: BLE001
        # A version or an operator that this onnx does not know: then it has nothing to say.
        return []
    return []


def _of_types(proto: onnx.ModelProto) -> list[Problem]:
    """Values that are read and whose type neither the file nor an operator's schema tells."""
    told = {v.name for v in (*proto.graph.value_info, *proto.graph.output)}
    if all(name in told for node in proto.graph.node for name in node.output):
        return []
    inferred = proto
    try:
        inferred = infer_shapes(proto)
        known_domains = RUNTIME_DOMAINS
    except Exception:  # noqa: BLE001
        # An opset that this onnx does not know: no schema tells anything.
        known_domains = frozenset()
    told = {v.name for v in (*inferred.graph.value_info, *inferred.graph.output)}
    read = {name for node in proto.graph.node for name in (*node.input, *_captured(node))}
    missing = [
        name
        for node in proto.graph.node
        if node.domain not in known_domains
        for name in node.output
        if name in read and name not in told
    ]
    if not missing:
        return []
    text = (
        f"{_named(missing)}: nothing tells its type, which conversions need: export the model with "
        "value_info"
    )
    return [Problem("missing-value-info", text)]


def _named(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(one_line(name)[:80] for name in names[:_NAMED]) + more


def _called(where: str) -> str:
    return f"graph {one_line(where)[:80]}" if where else "the graph"
