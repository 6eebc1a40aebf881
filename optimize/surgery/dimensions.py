"""Which dimensions of a graph's values are the same, whatever they are at run time.

Shape inference names a dimension anew at each operator that it cannot follow. Here a dimension that
is not a number is the place where it arose: a value and an axis. Two dimensions with one place are
equal; of two places nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from optimize.surgery.graph import constant, int_of, ints_of, string_of
from vampnet_models.onnxfile.operators import (
    BROADCASTING_OPS,
    NATIVE_CONV,
    NATIVE_PRODUCT_BIASES,
    NORM_OPS,
)

_Dim = int | tuple[ir.Value, int]
_Dims = tuple[_Dim, ...]

_SAME = (
    *NORM_OPS,
    *("Abs", "Cast", "Ceil", "Clip", "Cos", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu"),
    *("Identity", "IsNaN", "LeakyRelu", "Log", "Neg", "Not", "Reciprocal"),
    *("Relu", "Round", "Sigmoid", "Sign"),
    *("Sin", "Softmax", "Softplus", "Sqrt", "Tanh"),
    # The library's: an attention is shaped as its queries.
    *("RelativeAttention", "RelativeAttentionBfloat16"),
    "Snake",
)


@dataclass
class Dimensions:
    """Dimensions by value, and the elements of whole-number values that shapes are made of.

    `parts` are the places that a broadcast dimension is the largest of.
    """

    dims: dict[ir.Value, _Dims] = field(default_factory=dict)
    elements: dict[ir.Value, _Dims] = field(default_factory=dict)
    parts: dict[_Dim, frozenset[_Dim]] = field(default_factory=dict)

    def fits(self, small: ir.Value, large: ir.Value) -> bool:
        """Whether `large` keeps its shape when `small` is broadcast with it."""
        a, b = self.of(small), self.of(large)
        if a is None or b is None or len(a) > len(b):
            return False
        pairs = zip(reversed(a), reversed(b), strict=False)
        return all(x in (1, y) or x in self.parts.get(y, ()) for x, y in pairs)

    def of(self, value: ir.Value | None) -> _Dims | None:
        """The dimensions of a value, None where not even their number is known."""
        if value is None:
            return None
        if value not in self.dims and value.shape is not None:
            self.dims[value] = _own(value, len(value.shape))
        return self.dims.get(value)

    def counted(self, value: ir.Value | None) -> _Dims | None:
        """The elements of a whole-number value, None where they are not known."""
        if value is None or value in self.elements:
            return self.elements.get(value) if value is not None else None
        held = constant(value)
        if held is None or held.dtype.kind != "i" or held.ndim > 1:
            return None
        return tuple(int(each) for each in held.reshape(-1))


def dimensions(graph: ir.Graph) -> Dimensions:
    """The dimensions of every value of a graph with inferred ranks; bodies are left out."""
    known = Dimensions()
    named: dict[str, _Dim] = {}
    for given in graph.inputs:
        if given.shape is not None:
            known.dims[given] = tuple(
                own if isinstance(own, int) or not name else named.setdefault(name, own)
                for own, name in zip(_own(given, len(given.shape)), _names(given), strict=True)
            )
    for node in graph:
        for value in node.inputs:
            known.of(value)
        found = _RULES.get(node.op_type, _none)(node, known)
        for index, value in enumerate(node.outputs):
            rank = len(value.shape) if value.shape is not None else None
            if found is not None and index == 0 and rank in (None, len(found)):
                known.dims[value] = _with_numbers(value, found)
            else:
                known.of(value)
        _count(node, known)
    return known


def _own(value: ir.Value, rank: int) -> _Dims:
    shape = list(value.shape) if value.shape is not None else [None] * rank
    return tuple(d if isinstance(d, int) else (value, axis) for axis, d in enumerate(shape))


def _names(value: ir.Value) -> list[str]:
    """The names that an interface gives its dimensions: equal ones are the same by contract."""
    shape = list(value.shape) if value.shape is not None else []
    return ["" if isinstance(dim, int) else dim.value or "" for dim in shape]


def _with_numbers(value: ir.Value, found: _Dims) -> _Dims:
    return tuple(
        own if isinstance(own, int) else dim
        for own, dim in zip(_own(value, len(found)), found, strict=True)
    )


def _none(node: ir.Node, known: Dimensions) -> _Dims | None:
    return None


def _same(node: ir.Node, known: Dimensions) -> _Dims | None:
    return known.of(node.inputs[0])


def _together(node: ir.Node, known: Dimensions, shapes: Sequence[_Dims | None]) -> _Dims | None:
    """Shapes broadcast; an axis of which two dimensions may differ is a new place."""
    given = [shape for shape in shapes if shape is not None]
    if not given or len(given) < len(shapes):
        return None
    rank = max(map(len, given))
    result: list[_Dim] = []
    for axis in range(rank):
        found = {s[axis - rank] for s in given if len(s) >= rank - axis} - {1}
        # A one is stretched. A larger number is the result whatever the unknown ones beside it are:
        # with another one the model would not run.
        numbers = [d for d in found if isinstance(d, int)]
        if numbers or len(found) < 2:
            result.append(numbers[0] if numbers else next(iter(found), 1))
            continue
        # Which of them is a one is not known: a place of its own, that knows what it is made of.
        place = (node.outputs[0], axis)
        inner = [known.parts.get(dim, frozenset({dim})) for dim in found]
        known.parts[place] = frozenset(found).union(*inner)
        result.append(place)
    return tuple(result)


def _broadcast(node: ir.Node, known: Dimensions) -> _Dims | None:
    return _together(node, known, [known.of(value) for value in node.inputs])


def _transpose(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims = known.of(node.inputs[0])
    if dims is None:
        return None
    return tuple(dims[axis] for axis in ints_of(node, "perm", range(len(dims))[::-1]))


def _axes(node: ir.Node, index: int, rank: int) -> list[int] | None:
    """Constant axes at an input, counted from the front."""
    held = constant(node.inputs[index]) if len(node.inputs) > index else None
    return None if held is None else [int(axis) % rank for axis in held.reshape(-1)]


def _unsqueeze(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims, held = known.of(node.inputs[0]), constant(node.inputs[1])
    if dims is None or held is None:
        return None
    rank = len(dims) + held.size
    added, rest = {int(axis) % rank for axis in held.reshape(-1)}, iter(dims)
    return tuple(1 if axis in added else next(rest) for axis in range(rank))


def _squeeze(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims = known.of(node.inputs[0])
    # Without axes all dimensions of one go, and which those are is known only when it runs.
    axes = None if dims is None else _axes(node, 1, len(dims))
    if dims is None or axes is None:
        return None
    return tuple(dim for axis, dim in enumerate(dims) if axis not in axes)


def _slice(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims = known.of(node.inputs[0])
    axes = None if dims is None else _axes(node, 3, len(dims))
    if dims is None or axes is None:
        return None
    made = node.outputs[0]
    return tuple((made, axis) if axis in axes else dim for axis, dim in enumerate(dims))


def _joined(node: ir.Node, known: Dimensions) -> _Dims | None:
    """Of Concat and Split: one axis changes."""
    dims = known.of(node.inputs[0])
    if dims is None:
        return None
    changed = int_of(node, "axis", 0) % len(dims)
    return (*dims[:changed], (node.outputs[0], changed), *dims[changed + 1 :])


def _gather(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims, rows = known.of(node.inputs[0]), known.of(node.inputs[1])
    if dims is None or rows is None:
        return None
    axis = int_of(node, "axis", 0) % len(dims)
    return (*dims[:axis], *rows, *dims[axis + 1 :])


def _reshape(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims, target = known.of(node.inputs[0]), known.counted(node.inputs[1])
    if dims is None or target is None:
        return None
    made = node.outputs[0]
    # 0 copies the axis of its place; -1 takes what is left over, a size of its own.
    copied = [dims[i] if d == 0 and i < len(dims) else d for i, d in enumerate(target)]
    return tuple((made, axis) if dim == -1 else dim for axis, dim in enumerate(copied))


def _expand(node: ir.Node, known: Dimensions) -> _Dims | None:
    return _together(node, known, [known.of(node.inputs[0]), known.counted(node.inputs[1])])


def _range(node: ir.Node, known: Dimensions) -> _Dims | None:
    """As many as its limit says, where it counts from 0 by 1."""
    start, limit, step = (known.counted(value) for value in node.inputs)
    return limit if start == (0,) and step == (1,) else None


def _of_shape(node: ir.Node, known: Dimensions) -> _Dims | None:
    return known.counted(node.inputs[0])


def _matmul(node: ir.Node, known: Dimensions) -> _Dims | None:
    x, y = (known.of(value) for value in node.inputs[:2])
    if x is None or y is None or len(x) < 2 or len(y) < 2:
        return None
    outer = _together(node, known, [x[:-2], y[:-2]]) if len(x) > 2 or len(y) > 2 else ()
    return None if outer is None else (*outer, x[-2], y[-1])


def _native_product(node: ir.Node, known: Dimensions) -> _Dims | None:
    x = known.of(node.inputs[0])
    bias = known.of(node.inputs[NATIVE_PRODUCT_BIASES[node.op_type]])
    return None if x is None or bias is None else (*x[:-1], *bias)


def _attention(node: ir.Node, known: Dimensions) -> _Dims | None:
    query, values = known.of(node.inputs[0]), known.of(node.inputs[2])
    if query is None or values is None or len(query) != 3 or len(values) != 3:
        return None
    return (query[0], query[1], values[2])


def _einsum(node: ir.Node, known: Dimensions) -> _Dims | None:
    given, _, made = string_of(node, "equation", "").replace(" ", "").partition("->")
    letters: dict[str, _Dim] = {}
    for names, value in zip(given.split(","), node.inputs, strict=False):
        dims = known.of(value)
        if dims is None or "." in names or len(names) != len(dims):
            return None
        for name, dim in zip(names, dims, strict=True):
            # A letter that is a one in an operand takes the size of another one.
            letters[name] = dim if letters.get(name, 1) == 1 else letters[name]
    return tuple(letters[name] for name in made) if made else None


def _conv(node: ir.Node, known: Dimensions) -> _Dims | None:
    x, weight = known.of(node.inputs[0]), known.of(node.inputs[1])
    if x is None or weight is None:
        return None
    n_axes = len(x) - 2
    begins_ends = ints_of(node, "pads", (0,) * 2 * n_axes)
    padded = [sum(begins_ends[axis::n_axes]) for axis in range(n_axes)]
    dilations = ints_of(node, "dilations", (1,) * n_axes)
    whole = string_of(node, "auto_pad", "NOTSET") == "NOTSET"
    whole = whole and set(ints_of(node, "strides", (1,))) == {1}
    # As many zeros around an axis as a kernel reaches keep its length.
    lengths = (
        length
        if whole and isinstance(kernel, int) and added == dilation * (kernel - 1)
        else (node.outputs[0], axis)
        for axis, (length, kernel, added, dilation) in enumerate(
            zip(x[2:], weight[2:], padded, dilations, strict=True), start=2
        )
    )
    return (x[0], weight[0], *lengths)


def _native_conv(node: ir.Node, known: Dimensions) -> _Dims | None:
    x, weight, _, bias = (known.of(value) for value in node.inputs[:4])
    geometry = constant(node.inputs[4])
    if x is None or weight is None or bias is None or geometry is None:
        return None
    stride, dilation, before, behind, up, *_ = (int(value) for value in geometry)
    taps = weight[2]
    keeps = stride == up == 1 and isinstance(taps, int) and before + behind == dilation * (taps - 1)
    return (x[0], *bias, x[2] if keeps else (node.outputs[0], 2))


def _reduce(node: ir.Node, known: Dimensions) -> _Dims | None:
    dims = known.of(node.inputs[0])
    axes = None if dims is None else _axes(node, 1, len(dims))
    if dims is None or axes is None:
        return None
    kept = [1] if int_of(node, "keepdims", 1) else []
    parts = (kept if axis in axes else [dim] for axis, dim in enumerate(dims))
    return tuple(dim for part in parts for dim in part)


_RULES: Mapping[str, Callable[[ir.Node, Dimensions], _Dims | None]] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(BROADCASTING_OPS, _broadcast),
    **dict.fromkeys(("Concat", "Split"), _joined),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduce),
    **dict.fromkeys(NATIVE_PRODUCT_BIASES, _native_product),
    "ConstantOfShape": _of_shape,
    "Conv": _conv,
    NATIVE_CONV: _native_conv,
    "Einsum": _einsum,
    "Expand": _expand,
    "Gather": _gather,
    "MatMul": _matmul,
    "MultiHeadAttention": _attention,
    "Range": _range,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def _count(node: ir.Node, known: Dimensions) -> None:
    """Follow the elements of shapes through Shape, Gather, Concat, Slice and Casts."""
    found: _Dims | None = None
    op_type, made = node.op_type, node.outputs[0]
    first = known.counted(node.inputs[0]) if node.inputs else None
    if op_type == "Shape":
        dims = known.of(node.inputs[0])
        end = node.attributes.get("end")
        last = None if end is None else end.as_int()
        found = None if dims is None else dims[int_of(node, "start", 0) : last]
    elif op_type == "Concat":
        parts = [known.counted(value) for value in node.inputs]
        if all(part is not None for part in parts):
            found = tuple(dim for part in parts if part is not None for dim in part)
    elif first is None:
        return
    elif op_type == "Gather":
        places = constant(node.inputs[1])
        if places is not None and places.ndim <= 1:
            found = tuple(first[int(place)] for place in places.reshape(-1))
    elif op_type == "Slice" and all(constant(value) is not None for value in node.inputs[1:]):
        held = [constant(value) for value in node.inputs[1:]]
        start, end_, *rest = (int(each.reshape(-1)[0]) for each in held if each is not None)
        found = first[start : end_ : rest[1] if len(rest) > 1 else 1]
    elif op_type in ("Cast", "Identity", "Squeeze", "Unsqueeze") or (
        op_type == "Reshape" and len(first) == 1
    ):
        found = first
    if found is not None and made.dtype is not None and made.dtype.is_integer():
        known.elements[made] = found
