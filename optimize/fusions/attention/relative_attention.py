"""`softmax(scale q k' + bias) v` over heads -> com.microsoft MultiHeadAttention.

With the relative position bias of T5 (Raffel et al. 2020) as `attention_bias`. Every layer reads
the same bias value, so it is computed once. Products may be MatMul or Einsum; heads may stand
behind the batch or before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    NoMatch,
    add_constant,
    constant,
    consumed_by,
    graph_of,
    insert,
    int_of,
    ints_of,
    produced_by,
    rank_of,
    scalar,
    substitute,
)
from vampnet_models.onnxfile.operators import MICROSOFT


@dataclass(frozen=True)
class _Attention:
    """The parts of a matched attention; q, k and v are `[batch, length, heads * size]`."""

    query: ir.Value
    key: ir.Value
    value: ir.Value
    bias: ir.Value | None
    heads: int
    scale: float
    output: ir.Value
    name: str
    heads_first: bool = False
    """Whether the bias is `[heads, batch, q, k]`, as where heads stand before the batch."""


@dataclass(frozen=True)
class _Layout:
    """Where an exporter put the heads: permutations from and to `[batch, length, heads, size]`."""

    split: tuple[int, ...]
    split_swapped: tuple[int, ...]
    merge: tuple[int, ...]


_BATCH_FIRST = _Layout((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
_HEADS_FIRST = _Layout((2, 0, 1, 3), (2, 0, 3, 1), (1, 2, 0, 3))


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Softmaxes."""
    yield from (node for node in graph if node.op_type == "Softmax")


def _match(softmax: ir.Node) -> _Attention:
    if int_of(softmax, "axis", -1) not in (-1, 3):
        raise NoMatch(f"{softmax.name} is not over the keys (the last axis)")
    scores, bias = _scores_and_bias(softmax)
    product, scale = _peel(scores)
    mix = consumed_by(softmax.outputs[0], "MatMul", "Einsum")
    if mix.inputs[0] is not softmax.outputs[0] or not _is_plain(mix):
        raise NoMatch(f"{mix.name} does not multiply the weights from the left")
    layout = _layout(mix.inputs[1])
    query, key, factor = _query_and_key(produced_by(product, "MatMul", "Einsum"), layout)
    value, heads, size = _heads_of(mix.inputs[1], layout.split)
    output = _merged(mix.outputs[0], layout)
    for name, part in (("query", query), ("key", key)):
        if part[1:] != (heads, size):
            raise NoMatch(f"the {name} has {part[1]} heads of {part[2]}, value {heads} of {size}")
    # Where heads stand before the batch, so they do in the bias.
    heads_first = layout is _HEADS_FIRST
    _require_bias_shape(bias, heads, -4 if heads_first else -3)
    return _Attention(
        query[0],
        key[0],
        value,
        bias,
        heads,
        scale * factor,
        output,
        softmax.name or "attention",
        heads_first,
    )


def _layout(value: ir.Value | None) -> _Layout:
    """Where the heads are, by the permutation of the values."""
    found = ints_of(produced_by(value, "Transpose"), "perm", ())
    for layout in (_BATCH_FIRST, _HEADS_FIRST):
        if found == layout.split:
            return layout
    raise NoMatch(f"the values are permuted {list(found)}: no known place of the heads")


def _is_plain(product: ir.Node) -> bool:
    """Whether a product is MatMul over the last two of four axes, as MatMul or as Einsum."""
    return product.op_type == "MatMul" or _subscripts(product) == ("abij", "abjk", "abik")


def _is_by_rows(product: ir.Node) -> bool:
    """Whether an Einsum multiplies rows by rows, so that nothing is transposed."""
    return product.op_type == "Einsum" and _subscripts(product) == ("abij", "abkj", "abik")


def _subscripts(einsum: ir.Node) -> tuple[str, ...]:
    """The equation of two operands with the letters i, j, k in order of appearance."""
    text = einsum.attributes["equation"].as_string().replace(" ", "")
    names: dict[str, str] = {}
    for letter in text:
        if letter.isalpha():
            names.setdefault(letter, "abijklmn"[min(len(names), 7)])
    return tuple("".join(names.get(c, c) for c in text).replace("->", ",").split(","))


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
    return node is not None and node.op_type in ("MatMul", "Einsum")


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


_Heads = tuple[ir.Value, int, int]
"""A projection `[batch, length, heads * size]`, the number of heads, their size."""


def _query_and_key(product: ir.Node, layout: _Layout) -> tuple[_Heads, _Heads, float]:
    """Both operands of q k^T before they were split into heads, and the scale upon them."""
    left, right = product.inputs
    assert left is not None and right is not None
    (query, query_scale), (key, key_scale) = _peel(left), _peel(right)
    query_heads = _heads_of(query, layout.split)
    if _is_by_rows(product):
        return query_heads, _heads_of(key, layout.split), query_scale * key_scale
    if not _is_plain(product):
        raise NoMatch(f"{product.name} does not multiply queries by keys")
    # Keys are turned for the product in a step of its own, or at once where heads are split.
    swap = produced_by(key, "Transpose")
    if ints_of(swap, "perm", ()) == (0, 1, 3, 2):
        inner, inner_scale = _peel(_input(swap))
        key_heads, scale = _heads_of(inner, layout.split), key_scale * inner_scale
    else:
        key_heads, scale = _heads_of(key, layout.split_swapped), key_scale
    return query_heads, key_heads, query_scale * scale


def _heads_of(value: ir.Value | None, perm: tuple[int, ...]) -> _Heads:
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


def _merged(mix: ir.Value, layout: _Layout) -> ir.Value:
    """The value after heads were joined again."""
    transpose = consumed_by(mix, "Transpose")
    if ints_of(transpose, "perm", ()) != layout.merge:
        raise NoMatch(f"{transpose.name} does not put the heads beside their channels")
    reshape = consumed_by(transpose.outputs[0], "Reshape")
    rank = rank_of(reshape.outputs[0])
    target = constant(reshape.inputs[1])
    if rank != 3 and (target is None or target.size != 3):
        raise NoMatch(f"{reshape.name} does not join the heads into three axes")
    return reshape.outputs[0]


def _require_bias_shape(bias: ir.Value | None, heads: int, axis: int) -> None:
    """The bias has the heads on `axis`, counted from the end, or no such axis."""
    if bias is None:
        return
    if bias.shape is None or not 1 <= len(bias.shape) <= 4:
        raise NoMatch(f"the bias {bias.name} has the shape {bias.shape}, not [.., heads, q, k]")
    if len(bias.shape) >= -axis and bias.shape[axis] not in (1, heads):
        raise NoMatch(f"the bias {bias.name} is for {bias.shape[axis]} heads, not {heads}")


def _rewrite(graph: ir.Graph, match: _Attention) -> None:
    node = match.output.producer()
    assert node is not None
    bias = _four_axes(graph, match.bias)
    if match.heads_first:
        bias = _batch_before_heads(bias)
    bias = _of_full_length(node, match, bias)
    (new,) = insert(
        node,
        "MultiHeadAttention",
        [match.query, match.key, match.value, None, None, bias],
        {"num_heads": match.heads, "scale": match.scale},
        name=f"{match.name}/attention",
        domain=MICROSOFT,
    )
    substitute(match.output, new)


def _batch_before_heads(bias: ir.Value | None) -> ir.Value | None:
    """`[heads, batch or 1, q, k]`, first axes exchanged; one Transpose serves all layers."""
    if bias is None:
        return None
    for reader in bias.consumers():
        if reader.op_type == "Transpose" and ints_of(reader, "perm", ()) == (1, 0, 2, 3):
            return reader.outputs[0]
    producer = bias.producer()
    first = bias.consumers()[0] if producer is None else producer
    heads, batch, *lengths = bias.shape or (None,) * 4
    (new,) = insert(
        first,
        "Transpose",
        [bias],
        {"perm": (1, 0, 2, 3)},
        name=f"{bias.name}/batch_first",
        shapes=[[batch, heads, *lengths]],
    )
    if producer is not None:
        _move_behind(new, producer)
    return new


def _move_behind(value: ir.Value, producer: ir.Node) -> None:
    """Nodes are inserted before one that is known; what reads `producer` belongs behind it."""
    node = value.producer()
    assert node is not None and node.graph is not None
    graph = node.graph
    graph.remove(node)
    graph.insert_after(producer, node)


def _four_axes(graph: ir.Graph, bias: ir.Value | None) -> ir.Value | None:
    """The bias with axes of 1 in front; one Unsqueeze serves every layer."""
    rank = 4 if bias is None else rank_of(bias)
    if bias is None or rank is None or rank == 4:
        return bias
    for reader in bias.consumers():
        if reader.op_type == "Unsqueeze" and rank_of(reader.outputs[0]) == 4:
            return reader.outputs[0]
    producer = bias.producer()
    first = bias.consumers()[0] if producer is None else producer
    axes = add_constant(graph, f"{bias.name}/axes", np.arange(4 - rank))
    shape = [*[1] * (4 - rank), *(bias.shape or ())]
    (new,) = insert(first, "Unsqueeze", [bias, axes], name=f"{bias.name}/four_axes", shapes=[shape])
    if producer is not None:
        _move_behind(new, producer)
    return new


def _of_full_length(node: ir.Node, match: _Attention, bias: ir.Value | None) -> ir.Value | None:
    """A bias that is the same for all queries or keys, repeated: the operator repeats nothing."""
    if bias is None or bias.shape is None or 1 not in bias.shape[-2:]:
        return bias
    name, graph = f"{match.name}/bias", graph_of(node)
    lengths = [
        insert(
            node,
            "Shape",
            [value],
            {"start": 1, "end": 2},
            name=f"{name}/{part}",
            dtypes=(ir.DataType.INT64,),
            shapes=[[1]],
        )[0]
        for part, value in (("queries", match.query), ("keys", match.key))
    ]
    ones = add_constant(graph, f"{name}/ones", np.ones(2, np.int64))
    (target,) = insert(
        node,
        "Concat",
        [ones, *lengths],
        {"axis": 0},
        name=f"{name}/shape",
        dtypes=(ir.DataType.INT64,),
        shapes=[[4]],
    )
    shape = [
        *bias.shape[:2],
        *(value.shape[1] if value.shape else None for value in (match.query, match.key)),
    ]
    (full,) = insert(node, "Expand", [bias, target], name=f"{name}/full", shapes=[shape])
    return full


def attentions(graph: ir.Graph) -> Iterator[ir.Node]:
    """What this rule writes, the runtime's own attentions: the candidates of other rules."""
    for node in graph:
        if node.op_type == "MultiHeadAttention" and node.domain == MICROSOFT:
            yield node


def plain_scale(node: ir.Node) -> float:
    """The scale of such an attention of all to all. Raises NoMatch for a mask or a cache."""
    inputs = [*node.inputs, *[None] * 6]
    scale = node.attributes.get("scale")
    if inputs[3] is not None or inputs[4] is not None or any(inputs[6:]):
        raise NoMatch(f"{node.name} has a packed bias, a padding mask or a cache")
    if inputs[1] is None or inputs[2] is None or scale is None:
        raise NoMatch(f"{node.name}: its key, value or scale is implied")
    return scale.as_float()


RULE = Rule("relative_attention", _candidates, _match, _rewrite)
