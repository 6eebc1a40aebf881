"""Attention with an additive score bias -> com.microsoft MultiHeadAttention.

`softmax(scale * q k^T + bias) v` over heads, with the relative position bias of T5 (Raffel et al.
2020) as `attention_bias`. Every layer reads the same bias value, so it is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.graph import (
    MICROSOFT,
    NoMatch,
    add_constant,
    constant,
    consumed_by,
    insert,
    int_of,
    ints_of,
    produced_by,
    rank_of,
    scalar,
    substitute,
)


@dataclass(frozen=True)
class Attention:
    """The parts of a matched attention; q, k and v are `[batch, length, heads * size]`."""

    query: ir.Value
    key: ir.Value
    value: ir.Value
    bias: ir.Value | None
    heads: int
    scale: float
    output: ir.Value
    name: str


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Softmaxes."""
    yield from (node for node in graph if node.op_type == "Softmax")


def _match(softmax: ir.Node) -> Attention:
    if int_of(softmax, "axis", -1) not in (-1, 3):
        raise NoMatch(f"{softmax.name} is not over the keys (the last axis)")
    scores, bias = _scores_and_bias(softmax)
    product, scale = _peel(scores)
    query, key, factor = _query_and_key(produced_by(product, "MatMul"))
    mix = consumed_by(softmax.outputs[0], "MatMul")
    if mix.inputs[0] is not softmax.outputs[0]:
        raise NoMatch(f"{mix.name} does not multiply the weights from the left")
    value, heads, size = _heads_of(mix.inputs[1], (0, 2, 1, 3))
    output = _merged(mix.outputs[0])
    for name, part in (("query", query), ("key", key)):
        if part[1:] != (heads, size):
            raise NoMatch(f"the {name} has {part[1]} heads of {part[2]}, value {heads} of {size}")
    _require_bias_shape(bias, heads)
    return Attention(
        query[0], key[0], value, bias, heads, scale * factor, output, softmax.name or "attention"
    )


def _scores_and_bias(softmax: ir.Node) -> tuple[ir.Value, ir.Value | None]:
    """The scores, and what is added to them: the operand that is no product of MatMul."""
    scores = softmax.inputs[0]
    assert scores is not None
    add = scores.producer()
    if add is None or add.op_type != "Add":
        return scores, None
    for index in (0, 1):
        left, right = add.inputs[index], add.inputs[1 - index]
        if left is not None and _is_product(left):
            return left, right
    raise NoMatch(f"{add.name} does not add a bias to a product of query and key")


def _is_product(value: ir.Value) -> bool:
    node = _peel(value)[0].producer()
    return node is not None and node.op_type == "MatMul"


def _peel(value: ir.Value) -> tuple[ir.Value, float]:
    """The value behind constant factors, and their product."""
    scale = 1.0
    while (node := value.producer()) is not None and node.op_type in ("Mul", "Div"):
        right, left = scalar(node.inputs[1]), scalar(node.inputs[0])
        operand = node.inputs[0] if right is not None else node.inputs[1]
        if operand is None or (right is None and (left is None or node.op_type == "Div")):
            break
        factor = right if right is not None else left
        assert factor is not None
        scale *= 1 / factor if node.op_type == "Div" else factor
        value = operand
    return value, scale


Heads = tuple[ir.Value, int, int]
"""A projection `[batch, length, heads * size]`, the number of heads, their size."""


def _query_and_key(product: ir.Node) -> tuple[Heads, Heads, float]:
    """Both operands of q k^T before they were split into heads, and the scale upon them."""
    left, right = product.inputs
    assert left is not None and right is not None
    (query, query_scale), (key, key_scale) = _peel(left), _peel(right)
    swap = produced_by(key, "Transpose")
    if ints_of(swap, "perm", ()) == (0, 1, 3, 2):
        inner, inner_scale = _peel(_input(swap))
        key_heads, scale = _heads_of(inner, (0, 2, 1, 3)), key_scale * inner_scale
    else:
        key_heads, scale = _heads_of(key, (0, 2, 3, 1)), key_scale
    return _heads_of(query, (0, 2, 1, 3)), key_heads, query_scale * scale


def _heads_of(value: ir.Value | None, perm: tuple[int, ...]) -> Heads:
    """Undo `Transpose(Reshape(x, [batch, length, heads, size]), perm)`."""
    transpose = produced_by(value, "Transpose")
    if ints_of(transpose, "perm", ()) != perm:
        found = list(ints_of(transpose, "perm", ()))
        raise NoMatch(f"{transpose.name} permutes {found}, expected {list(perm)}")
    reshape = produced_by(transpose.inputs[0], "Reshape")
    heads, size = _last_two(reshape)
    return _input(reshape), heads, size


def _input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise NoMatch(f"{node.name} has no input")
    return value


def _last_two(reshape: ir.Node) -> tuple[int, int]:
    """Heads and head size of a Reshape to four axes, from its target or the inferred shape."""
    target = constant(reshape.inputs[1])
    if target is not None and target.size == 4 and target[2] > 0 and target[3] > 0:
        return int(target[2]), int(target[3])
    shape = reshape.outputs[0].shape
    if shape is not None and len(shape) == 4:
        heads, size = shape[2], shape[3]
        if isinstance(heads, int) and isinstance(size, int):
            return heads, size
    raise NoMatch(f"{reshape.name} does not split into a known number of heads")


def _merged(mix: ir.Value) -> ir.Value:
    """The value after heads were joined again."""
    transpose = consumed_by(mix, "Transpose")
    if ints_of(transpose, "perm", ()) != (0, 2, 1, 3):
        raise NoMatch(f"{transpose.name} does not put the heads beside their channels")
    reshape = consumed_by(transpose.outputs[0], "Reshape")
    rank = rank_of(reshape.outputs[0])
    target = constant(reshape.inputs[1])
    if rank != 3 and (target is None or target.size != 3):
        raise NoMatch(f"{reshape.name} does not join the heads into three axes")
    return reshape.outputs[0]


def _require_bias_shape(bias: ir.Value | None, heads: int) -> None:
    if bias is None:
        return
    if bias.shape is None or len(bias.shape) not in (3, 4):
        raise NoMatch(f"the bias {bias.name} has the shape {bias.shape}, not [.., heads, q, k]")
    if bias.shape[-3] not in (1, heads):
        raise NoMatch(f"the bias {bias.name} is for {bias.shape[-3]} heads, not {heads}")


def _rewrite(graph: ir.Graph, match: Attention) -> None:
    node = match.output.producer()
    assert node is not None
    bias = _four_axes(graph, match.bias)
    (new,) = insert(
        node,
        "MultiHeadAttention",
        [match.query, match.key, match.value, None, None, bias],
        {"num_heads": match.heads, "scale": match.scale},
        name=f"{match.name}/attention",
        domain=MICROSOFT,
    )
    substitute(match.output, new)


def _four_axes(graph: ir.Graph, bias: ir.Value | None) -> ir.Value | None:
    """The bias as `[batch or 1, heads, q, k]`; one Unsqueeze serves every layer."""
    if bias is None or rank_of(bias) == 4:
        return bias
    for reader in bias.consumers():
        if reader.op_type == "Unsqueeze" and rank_of(reader.outputs[0]) == 4:
            return reader.outputs[0]
    producer = bias.producer()
    first = bias.consumers()[0] if producer is None else producer
    axes = add_constant(graph, f"{bias.name}/axes", np.array([0], np.int64))
    shape = [1, *(bias.shape or ())]
    (new,) = insert(first, "Unsqueeze", [bias, axes], name=f"{bias.name}/four_axes", shapes=[shape])
    if producer is not None:
        unsqueeze = new.producer()
        assert unsqueeze is not None
        graph.remove(unsqueeze)
        graph.insert_after(producer, unsqueeze)
    return new


RULE = Rule("relative_attention", _candidates, _match, _rewrite)
