"""What constants and integers make of values: how large, how small, how exact they must be.

One walk from the inputs to the outputs, through the bodies, gives each value a `Fact`; no model is
run. Large constants (masks of -1e9) and small ones (epsilons of 1e-10) count as far as arithmetic
carries them. Numbers made of integers are positions and lengths. Squares, magnitudes and
probabilities lie near zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from optimize.precision.fp16.extremes import REAL, WHOLE, Extremes, extremes_of
from optimize.surgery.graph import tensor_of
from optimize.surgery.scopes import bodies_of
from vampnet_models.onnxfile.operators import REARRANGING_OPS

_ORDINARY_GAIN = 1024.0
"""Constants up to this size are gains as any layer has them; larger ones are masks or scales."""

_SMALL_FLOOR = 2.0**-7
"""What a larger constant was added to is not near zero any more."""

SQUARED, LIKELY = 2, 1
"""Near zero: squares and magnitudes, also behind one product (a filter bank); probabilities."""

HANDING_ON = REARRANGING_OPS | {
    *("Cast", "CastLike", "CenterCropPad", "Compress", "Concat", "DepthToSpace", "Dropout"),
    *("GlobalMaxPool", "MaxPool", "Pad", "ReduceMax", "ReduceMin", "Resize", "ReverseSequence"),
    *("ScatterElements", "ScatterND", "SpaceToDepth", "TopK", "Trilu", "Where"),
}
"""Operators that hand values on as they are."""

_TREES_DOMAIN = "ai.onnx.ml"

_STEPS = (
    *HANDING_ON,
    *("Abs", "Add", "Ceil", "Clip", "CumSum", "Div", "Exp", "Floor", "Log", "Max", "Mean", "Min"),
    *("Mod", "Mul", "Neg", "Pow", "Range", "Reciprocal", "ReduceMean", "ReduceProd", "ReduceSum"),
    *("Relu", "Round", "Sign", "Sqrt", "Sub", "Sum"),
)
"""What leads from positions and lengths to others."""

_SUMS = ("Add", "Sub", "Sum", "Max", "Min", "Mean", "Mod")
_PRODUCTS = ("MatMul", "Gemm", "Conv", "Einsum")
_SAME_SIZE = ("Abs", "Ceil", "Floor", "Neg", "Pow", "Relu", "Round", "Sqrt")

_FILLS = ("Where", "Pad", "ScatterND", "ScatterElements")
_BIAS_INPUTS = {"MultiHeadAttention": 5, "Attention": 3}
"""Which input of an attention is added to the scores; Softmax follows within.

A row that is masked in all places then has other weights than equal ones, as it sees nothing.
"""

_BY_ORDER = (
    *("ArgMax", "ArgMin", "Hardmax", "MaxPool", "ReduceMax", "ReduceMin", "Softmax", "TopK"),
    *_BIAS_INPUTS,
)
"""For these a fill value need not be exact, as long as it is the smallest or the largest."""


@dataclass(frozen=True)
class Fact:
    """Of a value: how far constants carry it (`top`), how small they leave it (`low`), whether it
    is made of constants alone, counts positions, and how near to zero it may lie."""

    top: float = 1.0
    low: float = 1.0
    constant: bool = False
    count: bool = False
    near_zero: int = 0


_ORDINARY = Fact()
Facts = Mapping[ir.Value, Fact]
_ExtremesOf = Callable[[ir.Value], Extremes | None]


def facts_of(graph: ir.Graph, extremes: _ExtremesOf) -> Facts:
    """The facts of every value of a graph with types, and of its bodies."""
    facts: dict[ir.Value, Fact] = {}
    _through(graph, facts, extremes)
    return facts


def is_fill(node: ir.Node, value: ir.Value) -> bool:
    """Whether a constant is a bound or a fill value for which float16's largest number will do.

    Only an initializer: its rounded copy ends there, what a node makes would become infinite.
    """
    if tensor_of(value) is None or value is node.inputs[0]:
        return False
    return node.op_type == "Clip" or (node.op_type in _FILLS and only_read_by(node, _BY_ORDER))


def only_read_by(node: ir.Node, op_types: Collection[str]) -> bool:
    """Whether a node's result goes, moved about or not, into nothing but these operators."""
    pending, seen = list(node.outputs), set(node.outputs)
    while pending:
        value = pending.pop()
        if value.is_graph_output():
            return False
        for reader, index in value.uses():
            if reader.op_type in op_types and index == _BIAS_INPUTS.get(reader.op_type, index):
                continue
            if reader.op_type not in HANDING_ON or reader.op_type in ("Cast", *_FILLS):
                return False
            pending.extend(v for v in reader.outputs if v not in seen)
            seen.update(reader.outputs)
    return True


def _through(
    graph: ir.Graph | ir.Function, facts: dict[ir.Value, Fact], extremes: _ExtremesOf
) -> None:
    for node in graph:
        for value in node.inputs:
            if value is not None and value not in facts:
                facts[value] = _of_constant(extremes(value))
        bodies = bodies_of(node)
        # A Loop counts and has a condition: two inputs before what it carries, and one output.
        skipped = 2 if node.op_type == "Loop" else 0
        for body in bodies:
            for outer, inner in zip(node.inputs[skipped:], body.inputs[skipped:], strict=False):
                facts[inner] = _ORDINARY if outer is None else _handed(facts[outer])
            _through(body, facts, extremes)
        for index, value in enumerate(node.outputs):
            facts[value] = _ORDINARY
            if bodies:
                made = [b.outputs[index + skipped // 2 : index + skipped // 2 + 1] for b in bodies]
                found = [facts.get(v) or _of_constant(extremes(v)) for each in made for v in each]
                facts[value] = _handed(_joined(found))
            elif any(v is not None and v.dtype in REAL for v in (*node.inputs, value)):
                facts[value] = _result(node, facts)


def _of_constant(found: Extremes | None) -> Fact:
    if found is None:
        return _ORDINARY
    # As small as its largest value: a small one among large ones may be lost, all of them may not.
    return Fact(top=found.top, low=found.top or 1.0, constant=True)


def _handed(fact: Fact) -> Fact:
    # The next round may bring another value through the same place.
    return replace(fact, constant=False, near_zero=0)


def _joined(facts: Iterable[Fact]) -> Fact:
    known = list(facts) or [_ORDINARY]
    return Fact(
        top=max(f.top for f in known),
        low=min(f.low for f in known),
        constant=all(f.constant for f in known),
        count=_counts(known),
        near_zero=_near_zero(known),
    )


def _counts(facts: Collection[Fact]) -> bool:
    return any(f.count for f in facts) and all(f.count or f.constant for f in facts)


def _near_zero(facts: Collection[Fact]) -> int:
    if not all(f.near_zero or f.constant for f in facts):
        return 0
    return max((f.near_zero for f in facts), default=0)


def real_inputs(node: ir.Node, facts: Facts) -> list[Fact]:
    """The facts of the inputs that carry real numbers, not shapes or indices."""
    return [facts[v] for v in node.inputs if v is not None and v.dtype in REAL]


def _result(node: ir.Node, facts: Facts) -> Fact:
    op_type = node.op_type
    if op_type in ("Constant", "ConstantOfShape"):
        return _of_attribute(node)
    if op_type in ("Cast", "CastLike"):
        return _cast(node, facts)
    if op_type == "Range":
        return Fact(count=True)
    data = real_inputs(node, facts)
    if node.domain == _TREES_DOMAIN:
        return _named(node)
    if op_type in HANDING_ON:
        kept = [
            facts[v]
            for v in node.inputs
            if v is not None and v.dtype in REAL and not is_fill(node, v)
        ]
        moved = _joined(kept or data)
        looked_up = op_type.startswith("Gather") and tensor_of(node.inputs[1]) is None
        return replace(moved, constant=False) if looked_up else moved
    if not data:
        return _ORDINARY
    made = _ARITHMETIC.get(op_type, _other)(node, data)
    constant = all(f.constant for f in data)
    counting = op_type in _STEPS or is_outer_product(node)
    count = op_type == "CumSum" or (counting and _counts(data))
    return replace(made, top=max(1.0, made.top), constant=constant, count=count)


def _of_attribute(node: ir.Node) -> Fact:
    """Of a Constant or ConstantOfShape, by whichever attribute holds its value."""
    for name, attribute in node.attributes.items():
        if name == "value":
            tensor = attribute.as_tensor()
            return _of_constant(
                extremes_of(np.asarray(tensor.numpy())) if tensor.dtype in (*REAL, *WHOLE) else None
            )
        if name == "value_float":
            return _of_constant(extremes_of(np.array([attribute.as_float()], np.float32)))
        if name == "value_floats":
            return _of_constant(extremes_of(np.array(attribute.as_floats(), np.float32)))
    return Fact(constant=True)


def _named(node: ir.Node) -> Fact:
    """Of an operator of classical machine learning: its attributes hold what it gives."""
    held = [a.value for a in node.attributes.values() if a.type == ir.AttributeType.FLOATS]
    found = extremes_of(np.array([0.0, *(x for values in held for x in values)], np.float32))
    return Fact(top=max(1.0, found.top))


def _cast(node: ir.Node, facts: Facts) -> Fact:
    source = node.inputs[0]
    if source is None or source.dtype in REAL or facts[source].constant:
        return _ORDINARY if source is None else facts[source]
    # Bytes and truth values are exact in float16; texts say any number.
    dtype = source.dtype
    return Fact(count=dtype is not None and (dtype == ir.DataType.STRING or dtype.bitwidth > 8))


def _sum(node: ir.Node, data: list[Fact]) -> Fact:
    constants = [f for f in data if f.constant]
    # Epsilons are added; a difference is what it is.
    floor = min(f.low for f in data) if constants and node.op_type != "Sub" else 1.0
    near = 0 if any(f.top >= _SMALL_FLOOR for f in constants) else _near_zero(data)
    return Fact(max(f.top for f in data), floor, near_zero=near)


def _clip(node: ir.Node, data: list[Fact]) -> Fact:
    bound = max([0.0, *(f.top for f in data[1:])])
    floor = data[1] if len(data) > 1 and node.inputs[1] is not None else _ORDINARY
    near = data[0].near_zero if floor.top < _SMALL_FLOOR or floor is _ORDINARY else 0
    top = min(data[0].top, bound) if len(data) > 1 else data[0].top
    return Fact(top, min(data[0].low, floor.low), near_zero=near)


def _mul(node: ir.Node, data: list[Fact]) -> Fact:
    square = len(data) == 2 and node.inputs[0] is node.inputs[1]
    top = float(np.prod([_gain(f.top) if f.constant else f.top for f in data]))
    return Fact(top, min(f.low for f in data), near_zero=SQUARED if square else _near_zero(data))


def _div(node: ir.Node, data: list[Fact]) -> Fact:
    numerator, denominator = data[0], data[-1]
    gain = 1 / _gain(denominator.top or 1.0) if denominator.constant else 1.0
    top = (_gain(numerator.top) if numerator.constant else numerator.top) * gain
    near = numerator.near_zero if denominator.constant else 0
    return Fact(top, numerator.low, near_zero=near)


def _gain(top: float) -> float:
    """What a constant factor does to magnitudes; any layer multiplies by ordinary weights."""
    return 1.0 if 1 / _ORDINARY_GAIN <= top <= _ORDINARY_GAIN else top or 1.0


def _same_size(node: ir.Node, data: list[Fact]) -> Fact:
    root = 0.5 if node.op_type == "Sqrt" else 1.0
    makes = SQUARED if node.op_type in ("Abs", "Pow") else 0
    fact = data[0]
    return Fact(fact.top**root, fact.low**root, near_zero=max(fact.near_zero, makes))


def _product(node: ir.Node, data: list[Fact]) -> Fact:
    near = _near_zero(data)
    return Fact(
        low=min([1.0, *(f.low for f in data if not f.constant)]), near_zero=max(0, near - 1)
    )


def _reduced(node: ir.Node, data: list[Fact]) -> Fact:
    squares = node.op_type in ("ReduceL1", "ReduceL2", "ReduceSumSquare")
    return Fact(low=data[0].low, near_zero=SQUARED if squares else data[0].near_zero)


def _likely(node: ir.Node, data: list[Fact]) -> Fact:
    return Fact(near_zero=LIKELY)


def _other(node: ir.Node, data: list[Fact]) -> Fact:
    return _ORDINARY


_ARITHMETIC: Mapping[str, Callable[[ir.Node, list[Fact]], Fact]] = {
    "Clip": _clip,
    "Mul": _mul,
    "Div": _div,
    **dict.fromkeys(_SUMS, _sum),
    **dict.fromkeys(_SAME_SIZE, _same_size),
    **dict.fromkeys(_PRODUCTS, _product),
    **dict.fromkeys(("Exp", "Sigmoid", "Softmax"), _likely),
    **dict.fromkeys(
        ("AveragePool", "ReduceL1", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"),
        _reduced,
    ),
}


def is_outer_product(node: ir.Node) -> bool:
    """Whether a node multiplies each with each and sums nothing, as positions and frequencies."""
    if node.op_type == "Einsum":
        letters = node.attributes["equation"].as_string().replace(" ", "").split("->")
        return len(letters) == 2 and set(letters[0]) - {","} <= set(letters[1])
    if node.op_type != "MatMul":
        return False
    x, y = (value.shape if value is not None else None for value in node.inputs)
    if x is None or y is None or not len(x) or not len(y):
        return False
    return x[-1] == 1 or (len(y) > 1 and y[-2] == 1)
