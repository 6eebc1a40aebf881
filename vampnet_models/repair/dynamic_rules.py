"""What bakes a length into a graph, and what stands there instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from vampnet_models.onnxfile.operators import BROADCASTING_OPS, FLOAT_PRODUCT_OPS, NORM_OPS
from vampnet_models.onnxfile.session import Array
from vampnet_models.repair.free_constants import Table, free_constant
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.shapes.two_lengths import Refused, TwoLengths, reshaped
from vampnet_models.structure import constant_of

_HOLDS_WEIGHTS = FLOAT_PRODUCT_OPS | NORM_OPS.keys() | {"Gather", "Einsum", "BatchNormalization"}
"""Operators whose constants have sizes of their own; a wrong one fails to fit."""

_END = np.iinfo(np.int64).max


class Rewriter:
    """Walks a graph in its order and replaces what bakes the length.

    `changes` says what was replaced, `longest` up to which length the tables reach.
    """

    def __init__(self, graph: ir.Graph, lengths: TwoLengths, source: ir.Value) -> None:
        self.graph = graph
        self.lengths = lengths
        self.changes: list[str] = []
        self.longest: int | None = None
        self._count = 0
        self._freed: dict[tuple[ir.Value, tuple[int, ...]], ir.Value] = {}
        self._multiples: dict[int, ir.Value] = {}
        first = next(iter(graph))
        self._length = self._node("Shape", [source], first, start=2, end=3)
        self._multiples[1] = self._length
        self._set_known(self._length, [lengths.own], [lengths.other])
        self._first = first

    def use_tables(self) -> None:
        """Cut tables of positions to the length where a constant slice or index cut them."""
        own = self.lengths.own
        for node in list(self.graph):
            if node.op_type == "Slice" and constant_of(node.inputs[0]) is not None:
                self._free_slice_of_table(node)
            elif node.op_type == "Gather":
                index = constant_of(node.inputs[1])
                frames = index is not None and index.dtype.kind == "i" and index.size == own
                if frames and index is not None and index.reshape(-1).tolist() == list(range(own)):
                    self._free_index(node, index)

    def walk(self) -> None:
        """Fit every node to the other length. Raises Refused at the first that cannot be."""
        for node in list(self.graph):
            if any(a.type is ir.AttributeType.GRAPH for a in node.attributes.values()):
                raise Refused(f"{node.op_type} {node.name} holds a subgraph")
            if node.op_type == "Reshape":
                self._fit_reshape(node)
            elif node.op_type in ("Expand", "ConstantOfShape", "Tile"):
                self._fit_sizes(node)
            elif node.op_type == "Slice":
                self._fit_slice(node)
            elif node.op_type in BROADCASTING_OPS:
                self._fit_operands(node)
            elif node.op_type not in _HOLDS_WEIGHTS:
                self._refuse_constants(node)
            self.lengths.infer(node)

    def _free_slice_of_table(self, node: ir.Node) -> None:
        starts, ends, axes = (constant_of(v) for v in [*node.inputs[1:4], None, None][:3])
        table = constant_of(node.inputs[0])
        if table is None or starts is None or ends is None or axes is None or ends.size != 1:
            return
        rows = table.shape[int(axes[0])]
        whole = len(node.inputs) < 5 or node.inputs[4] is None
        cut = starts.tolist() == [0] and ends.tolist() == [self.lengths.own] and whole
        if cut and rows > self.lengths.own:
            node.replace_input_with(2, self._length)
            self._limit(rows)
            self.changes.append(f"positions are cut from their table of {rows}")

    def _free_index(self, node: ir.Node, index: Array) -> None:
        zero, one = (self._constant(np.array(v, np.int64)) for v in (0, 1))
        axis = self._constant(np.array([0], np.int64))
        count = self._node("Squeeze", [self._length, axis], node)
        frames = self._node("Range", [zero, count, one], node)
        if index.ndim > 1:
            shape = np.array([-1 if d == index.size else d for d in index.shape], np.int64)
            frames = self._node("Reshape", [frames, self._constant(shape)], node)
        node.replace_input_with(1, frames)
        table = constant_of(node.inputs[0])
        if table is not None:
            self._limit(table.shape[node.attributes.get_int("axis", 0)])
        self.changes.append("frame numbers are counted")

    def _fit_reshape(self, node: ir.Node) -> None:
        source, target = node.inputs[0], node.inputs[1]
        assert source is not None
        wanted = self.lengths.values_of(target)
        own, other = self.lengths.shape_of(source)
        if wanted is None:
            raise Refused(f"Reshape {node.name}: its target depends on the data")
        if own == other and np.array_equal(*wanted):
            return
        keeps_zero = node.attributes.get_int("allowzero", 0) == 1
        first = _resolved(wanted[0], own, keeps_zero)
        result = reshaped(own, other, first, self.lengths.own, self.lengths.other)
        if result is None:
            raise Refused(
                f"Reshape {node.name} from {list(own)} to {list(first)}: which of its sizes are "
                f"the length {self.lengths.own} is ambiguous"
            )
        if _resolved(wanted[1], other, keeps_zero) == result:
            return
        node.attributes.pop("allowzero", None)
        sizes: list[int | None] = []
        inferred = False
        for axis, (a, b) in enumerate(zip(first, result, strict=True)):
            if axis < len(own) and (own[axis], other[axis]) == (a, b):
                sizes.append(0)
            elif a == b:
                sizes.append(a)
            elif not inferred:
                sizes.append(-1)
                inferred = True
            else:
                sizes.append(None)
        node.replace_input_with(1, self._sizes(node, sizes, first))
        self.changes.append(f"Reshape {node.name}")

    def _fit_sizes(self, node: ir.Node) -> None:
        """Sizes of Expand, Tile and ConstantOfShape: those equal to the length follow it."""
        at = 0 if node.op_type == "ConstantOfShape" else 1
        target = node.inputs[at]
        wanted = self.lengths.values_of(target)
        if wanted is None:
            raise Refused(f"{node.op_type} {node.name}: its sizes depend on the data")
        own = self.lengths.own
        sizes = wanted[0].reshape(-1).tolist()
        baked = [i for i, (a, b) in enumerate(zip(*wanted, strict=True)) if a == b == own]
        if at == 1 and node.inputs[0] is not None:
            theirs, other = self.lengths.shape_of(node.inputs[0])
            offset = len(sizes) - len(theirs)
            static = [
                i for i in baked if i >= offset and theirs[i - offset] == other[i - offset] != 1
            ]
            baked = [i for i in baked if i not in static]
        if not baked:
            return
        varying = [i for i, (a, b) in enumerate(zip(*wanted, strict=True)) if a != b]
        dynamic: list[int | None] = [
            None if i in baked or i in varying else int(a) for i, a in enumerate(sizes)
        ]
        node.replace_input_with(at, self._sizes(node, dynamic, tuple(sizes)))
        self.changes.append(f"{node.op_type} {node.name}")

    def _fit_slice(self, node: ir.Node) -> None:
        source, ends = node.inputs[0], self.lengths.values_of(node.inputs[2])
        starts = self.lengths.values_of(node.inputs[1])
        assert source is not None
        if ends is None or starts is None:
            raise Refused(f"Slice {node.name}: its ends depend on the data")
        own, other = self.lengths.shape_of(source)
        axes = self.lengths.values_of(node.inputs[3]) if len(node.inputs) > 3 else None
        listed = axes[0].tolist() if axes is not None else list(range(len(ends[0])))
        fitted = ends[0].copy()
        for i, axis in enumerate(listed):
            baked = ends[0][i] == ends[1][i] == self.lengths.own
            if baked and own[axis] != other[axis] and own[axis] == self.lengths.own:
                fitted[i] = _END
        if not np.array_equal(fitted, ends[0]):
            if not np.array_equal(*ends):
                raise Refused(f"Slice {node.name}: only some of its ends follow the length")
            node.replace_input_with(2, self._constant(fitted))
            self.changes.append(f"Slice {node.name}")

    def _fit_operands(self, node: ir.Node) -> None:
        """Constants beside values of the length: cut from a table, or the same everywhere."""
        values = [v for v in node.inputs if v is not None]
        computed = [v for v in values if v.const_value is None]
        if not computed:
            return
        shapes = [self.lengths.shape_of(v) for v in computed]
        own = np.broadcast_shapes(*(s[0] for s in shapes))
        other = np.broadcast_shapes(*(s[1] for s in shapes))
        for index, value in enumerate(node.inputs):
            if value is None or value.const_value is None:
                continue
            shape = self.lengths.shape_of(value)[0]
            axes = tuple(
                axis
                for axis, size in enumerate(shape)
                if size == self.lengths.own and self._is_time(axis - len(shape), own, other, node)
            )
            if axes:
                node.replace_input_with(index, self._free(value, axes, node))

    def _is_time(self, axis: int, own: Shape, other: Shape, node: ir.Node) -> bool:
        """Whether an axis, counted from the end, of the other operands is time."""
        if -axis > len(own) or own[axis] == 1:
            raise Refused(
                f"{node.op_type} {node.name}: whether a constant's size {self.lengths.own} is the "
                "length is ambiguous"
            )
        return own[axis] != other[axis]

    def _refuse_constants(self, node: ir.Node) -> None:
        """Other operators must not hold constants of the length."""
        for value in node.inputs:
            if value is None or value.const_value is None:
                continue
            if self.lengths.own in self.lengths.shape_of(value)[0]:
                raise Refused(
                    f"{node.op_type} {node.name}: its constant {value.name} has a size of "
                    f"{self.lengths.own}"
                )

    def _free(self, value: ir.Value, axes: tuple[int, ...], node: ir.Node) -> ir.Value:
        if (value, axes) in self._freed:
            return self._freed[value, axes]
        array = constant_of(value)
        assert array is not None
        table = free_constant(array, axes, self.lengths.own)
        if table.longest is not None:
            self._limit(table.longest)
        self.changes.append(f"{value.name}: {table.what}")
        freed = self._looked_up(table, array.ndim)
        freed.type = value.type
        shrunk = [a in axes and a not in table.axes for a in range(array.ndim)]
        own = tuple(1 if one else d for one, d in zip(shrunk, array.shape, strict=True))
        other = tuple(self.lengths.other if a in table.axes else d for a, d in enumerate(own))
        self.lengths.shapes[freed] = (own, other)
        self._freed[value, axes] = freed
        return freed

    def _looked_up(self, table: Table, rank: int) -> ir.Value:
        constant = self._constant(table.values)
        if not table.axes:
            return constant
        first = self._first
        zero = self._constant(np.array([0], np.int64))
        if len(table.axes) == 1:
            axis = self._constant(np.array([table.axes[0]], np.int64))
            return self._node("Slice", [constant, zero, self._length, axis], first)
        # Offsets key - query, clamped to the table's ends.
        query, key = table.axes
        half = np.array(table.values.shape[query] // 2, np.int64)
        scalars = [self._constant(np.array(v, np.int64)) for v in (0, 1)]
        count = self._node("Squeeze", [self._length, zero], first)
        frames = self._node("Range", [scalars[0], count, scalars[1]], first)
        keys = self._node("Unsqueeze", [frames, zero], first)
        queries = self._node("Unsqueeze", [frames, self._constant(np.array([1], np.int64))], first)
        offsets = self._node("Sub", [keys, queries], first)
        low, high = self._constant(-half), self._constant(half)
        clamped = self._node("Clip", [offsets, low, high], first)
        index = self._node("Add", [clamped, high], first)
        if table.longest is not None:
            index = self._node("Add", [index, self._guard(table.longest)], first)
        found = self._node("Gather", [constant, index], first, axis=query)
        # The key axis stands right after the query axis; put it where it was.
        order = [a for a in range(rank) if a != key]
        stands = [*order[: order.index(query) + 1], key, *order[order.index(query) + 1 :]]
        perm = [stands.index(a) for a in range(rank)]
        if perm == list(range(rank)):
            return found
        return self._node("Transpose", [found], first, perm=perm)

    def _guard(self, longest: int) -> ir.Value:
        """A zero whose look-up fails beyond the longest length, where clamping would be wrong."""
        zeros = self._constant(np.zeros(longest, np.int64))
        one = self._constant(np.array([1], np.int64))
        last = self._node("Sub", [self._length, one], self._first)
        return self._node("Gather", [zeros, last], self._first, axis=0)

    def _sizes(self, node: ir.Node, sizes: Sequence[int | None], own: Shape) -> ir.Value:
        """A shape operand; None stands for the multiple of the length that `own` has there."""
        if None not in sizes:
            return self._constant(np.array(sizes, np.int64))
        parts = []
        for size, baked in zip(sizes, own, strict=True):
            if size is None:
                parts.append(self._multiple(baked // self.lengths.own))
            else:
                parts.append(self._constant(np.array([size], np.int64)))
        joined = self._node("Concat", parts, node, axis=0)
        self._set_known(
            joined,
            [b if s is None else s for s, b in zip(sizes, own, strict=True)],
            [
                b // self.lengths.own * self.lengths.other if s is None else s
                for s, b in zip(sizes, own, strict=True)
            ],
        )
        return joined

    def _multiple(self, factor: int) -> ir.Value:
        if factor not in self._multiples:
            by = self._constant(np.array([factor], np.int64))
            made = self._node("Mul", [self._length, by], self._first)
            self._set_known(made, [factor * self.lengths.own], [factor * self.lengths.other])
            self._multiples[factor] = made
        return self._multiples[factor]

    def _limit(self, rows: int) -> None:
        self.longest = rows if self.longest is None else min(self.longest, rows)

    def _set_known(self, value: ir.Value, own: list[int], other: list[int]) -> None:
        pair = (np.array(own, np.int64), np.array(other, np.int64))
        self.lengths.known[value] = pair
        self.lengths.shapes[value] = (pair[0].shape, pair[1].shape)
        value.dtype = ir.DataType.INT64

    def _node(
        self, op_type: str, inputs: list[ir.Value], before: ir.Node, **attributes: int | list[int]
    ) -> ir.Value:
        self._count += 1
        name = f"make_dynamic/{op_type}_{self._count}"
        node = ir.Node(
            "", op_type, inputs, ir.convenience.convert_attributes(attributes), name=name
        )
        node.outputs[0].name = f"{name}.out"
        self.graph.insert_before(before, node)
        return node.outputs[0]

    def _constant(self, values: Array) -> ir.Value:
        self._count += 1
        name = f"make_dynamic/const_{self._count}"
        tensor = ir.Tensor(np.array(values, order="C"), name=name)
        value = ir.Value(
            name=name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(values.shape),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        return value


def _resolved(target: Array, source: Shape, keeps_zero: bool) -> Shape:
    """A Reshape's target with its 0 and -1 filled in."""
    sizes = [
        source[i] if d == 0 and not keeps_zero else int(d) for i, d in enumerate(target.tolist())
    ]
    if -1 in sizes:
        rest = int(np.prod([d for d in sizes if d != -1]))
        sizes[sizes.index(-1)] = int(np.prod(source)) // max(rest, 1)
    return tuple(sizes)
