"""Float32 to float16, node by node, with every type known.

A float32 node becomes a float16 node unless its operator has no float16 form, it is on the keep
list, or float16 would make its values wrong (fp16_keep.py); Casts stand where the two meet, one per
value. Weights are rounded when they are written, once for all readers. Bodies of If, Loop and Scan
are converted with the rest: what a branch makes may be float16, what a loop carries stays float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import Range
from optimize.precision.contract import Conversion, Evidence, Needs, Plan, Precision, Traits
from optimize.precision.fp16.emulate import emulate
from optimize.precision.fp16.extremes import halved
from optimize.precision.fp16.forms import FLOAT, is_float
from optimize.precision.fp16.keep import KEEP_OPS, Keeping, keeping
from optimize.precision.fp16.ranges import nodes_to_keep, tensors_to_measure
from optimize.precision.shared.plan import CODE_PATH, float_node
from optimize.surgery.graph import (
    Array,
    cast,
    derived_weight,
    dims,
    home_of,
    infer_shapes,
    insert_behind,
    read,
    tensor_of,
)
from optimize.surgery.scopes import all_nodes, bodies_of, scope_of
from optimize.surgery.value_types import fill_types
from vampnet_models.onnxfile.operators import HEAVY_OPS, WEIGHT_OPS

_HALF = ir.DataType.FLOAT16

_IR_VERSION = 10
"""Types do not depend on it."""


@dataclass
class _State:
    """`half` are the values that were float32; `casts` what was made of a value in a type."""

    kept: Keeping
    half: set[ir.Value] = field(default_factory=set)
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = field(default_factory=dict)


@dataclass(frozen=True)
class _HalfPlan(Plan):
    """A plan with the form of each node, and the record of the conversion that it is for."""

    kept: Keeping = field(kw_only=True)
    record: Conversion = field(kw_only=True)


@dataclass(frozen=True)
class Float16(Precision[_HalfPlan]):
    """Float16 weights and arithmetic; inputs and outputs stay float32 unless `keep_io` is False.

    `keep_nodes` and `keep_ops` name nodes and operators that stay in float32. So do nodes whose
    values float16 cannot hold, by `ranges` that were measured before, or that are measured now
    (`measure`, which hands them to `on_ranges`). `emulated` gives the float32 graph that rounds
    each result.
    """

    keep_nodes: tuple[str, ...] = ()
    keep_ops: tuple[str, ...] = ()
    keep_io: bool = True
    ranges: Mapping[str, Range] | None = None
    measure: bool = False
    on_ranges: Callable[[Mapping[str, Range]], None] | None = None
    emulated: bool = False

    @property
    def needs(self) -> Needs:
        """Ranges, where they are measured."""
        return Needs.RANGES if self.measure else Needs.NOTHING

    def plan(self, graph: ir.Graph, traits: Traits) -> _HalfPlan:
        """Which nodes become float16; the graph's values get their types.

        Raises InputError when the type of a value cannot be inferred, or when the graph does not
        have what is named.
        """
        infer_shapes(ir.Model(graph, ir_version=_IR_VERSION))
        fill_types(graph)
        found = self._planned(graph, traits, self.ranges or {})
        return replace(found, ranges=tensors_to_measure(graph)) if self.measure else found

    def _planned(self, graph: ir.Graph, traits: Traits, ranges: Mapping[str, Range]) -> _HalfPlan:
        measured = nodes_to_keep(graph, ranges)
        kept = keeping(graph, self.keep_nodes, self.keep_ops, measured, traits)
        reported = (*HEAVY_OPS, *KEEP_OPS, *self.keep_ops)
        record = _conversion(graph, kept, reported, {*self.keep_nodes, *measured})
        chosen = tuple(kept.forms)
        return _HalfPlan(chosen, record.float_nodes, traits=traits, kept=kept, record=record)

    def apply(self, model: ir.Model, plan: _HalfPlan, evidence: Evidence) -> Conversion:
        """Convert a model in place, by what was measured where that was asked for."""
        graph = model.graph
        if self.measure:
            seen = {name: (float(r.low), float(r.high)) for name, r in evidence.ranges.items()}
            ranges = {name: Range(low, high) for name, (low, high) in seen.items()}
            if self.on_ranges is not None:
                self.on_ranges(ranges)
            plan = self._planned(graph, plan.traits, ranges)
        if self.emulated:
            return Conversion({"float16, emulated": emulate(graph, plan.kept.forms)})
        state = _State(plan.kept)
        outputs = [index for index, value in enumerate(graph.outputs) if is_float(value)]
        if not self.keep_io:
            for value in graph.inputs:
                if is_float(value):
                    _become_half(value, state)
        _convert_nodes(graph, state)
        for index in outputs:
            _convert_output(graph, index, FLOAT if self.keep_io else _HALF, state)
        return plan.record


def _conversion(
    graph: ir.Graph, kept: Keeping, reported: Collection[str], named: Collection[str]
) -> Conversion:
    """The record: nodes with weights by precision, and the nodes that stay, with reasons.

    Where no product, convolution or recurrent layer is converted, other nodes with weights count.
    """
    counts: Counter[str] = Counter()
    left = []
    for node in all_nodes(graph):
        reason = kept.reasons.get(node)
        floats = any(map(is_float, (*node.inputs, *node.outputs)))
        if not floats:
            continue
        if node.op_type in WEIGHT_OPS and tensor_of(node.inputs[1]) is not None:
            counts["float16" if reason is None else "float32"] += 1
        if reason is None:
            continue
        minor = reason == CODE_PATH or reason.startswith("belongs to")
        if not minor or node.op_type in reported or node.name in named:
            left.append(float_node(node, reason))
    others = 0 if counts["float16"] else sum(map(_holds_a_constant, kept.forms))
    if others:
        counts["float16"] = others
    return Conversion(dict(counts), tuple(left), (), kept.warnings)


def _holds_a_constant(node: ir.Node) -> bool:
    """Whether a node has a weight: an Einsum, a lookup or a bias may be all that a graph has."""
    tensors = [tensor_of(value) for value in node.inputs if is_float(value)]
    return any(tensor is not None and tensor.size > 1 for tensor in tensors)


def _convert_nodes(graph: ir.Graph, state: _State) -> None:
    for node in list(graph):
        bodies = bodies_of(node)
        form = state.kept.forms.get(node)
        for body in bodies:
            _convert_nodes(body, state)
        for index, value in enumerate(node.inputs):
            # A Cast takes any type: it reads what is there.
            if value is None or node.op_type == "Cast":
                continue
            if form is not None and index in form.inputs:
                node.replace_input_with(index, _as(value, _HALF, state))
            elif value in state.half:
                node.replace_input_with(index, _as(value, FLOAT, state))
        if bodies:
            _join_bodies(node, bodies, state)
        elif form is not None:
            for index in form.outputs:
                _become_half(node.outputs[index], state)
            if form.outputs:
                _convert_attributes(node)


def _become_half(value: ir.Value, state: _State) -> None:
    value.type = ir.TensorType(_HALF)
    state.half.add(value)


def _join_bodies(node: ir.Node, bodies: Collection[ir.Graph], state: _State) -> None:
    """Give what bodies hand on one type: float16 where all branches of an If make that."""
    is_if = node.op_type == "If"
    for index in range(max((len(body.outputs) for body in bodies), default=0)):
        if is_if and all(body.outputs[index] in state.half for body in bodies):
            _become_half(node.outputs[index], state)
            continue
        for body in bodies:
            if index < len(body.outputs) and body.outputs[index] in state.half:
                _convert_output(body, index, FLOAT, state)


def _convert_attributes(node: ir.Node) -> None:
    """Let a Cast name float16, and what a constant holds be it."""
    attributes = node.attributes
    if node.op_type == "Cast":
        attributes["to"] = ir.AttrInt64("to", _HALF)
    elif node.op_type == "ConstantOfShape":
        given = attributes["value"].as_tensor() if "value" in attributes else None
        values = np.zeros(1, np.float32) if given is None else read(given)
        attributes["value"] = ir.AttrTensor("value", ir.Tensor(halved(values), name="value"))
    elif node.op_type == "Constant":
        (name,) = attributes
        held = attributes.pop(name)
        values = read(held.as_tensor()) if name == "value" else np.array(held.value, np.float32)
        attributes["value"] = ir.AttrTensor("value", ir.Tensor(halved(values), name="value"))


def _as(value: ir.Value, dtype: ir.DataType, state: _State) -> ir.Value:
    """`value` in this type: itself, a rounded copy of an initializer, or a Cast's output."""
    if value.dtype == dtype:
        return value
    tensor = tensor_of(value)
    if tensor is not None and dtype == _HALF:
        rounded = partial(_rounded, tensor)
        return derived_weight(value, "half", _HALF, dims(tensor), rounded)
    key = (value, dtype)
    if key not in state.casts:
        node = _cast(value, dtype, home_of(value))
        insert_behind(value, [node])
        state.casts[key] = node.outputs[0]
    return state.casts[key]


def _rounded(tensor: ir.TensorProtocol) -> Array:
    return halved(read(tensor))


def _cast(value: ir.Value, dtype: ir.DataType, graph: ir.Graph) -> ir.Node:
    return cast(value, dtype, graph, name=f"{value.name}/{'half' if dtype == _HALF else 'float'}")


def _convert_output(graph: ir.Graph, index: int, dtype: ir.DataType, state: _State) -> None:
    """Give an output of a graph or body its type back under its own name."""
    value = graph.outputs[index]
    if value.dtype == dtype:
        return
    rounded = _as(value, _HALF, state) if dtype == _HALF and tensor_of(value) is not None else None
    node = _cast(value, dtype, graph) if rounded is None else _handed_on(rounded, graph)
    graph.append(node)
    graph.outputs[index] = node.outputs[0]
    name = value.name
    value.name = scope_of(graph).name_value(f"{name}.{'half' if dtype == FLOAT else 'float'}")
    node.outputs[0].name = name


def _handed_on(value: ir.Value, graph: ir.Graph) -> ir.Node:
    """An Identity: a constant that is an output has its name from it."""
    scope = scope_of(graph)
    node = ir.Node("", "Identity", [value], name=scope.name_node(f"{value.name}/output"))
    result = node.outputs[0]
    result.name, result.type, result.shape = None, value.type, value.shape
    return node
