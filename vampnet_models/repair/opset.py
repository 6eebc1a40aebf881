"""Raise a model's opset, node by node, no further than the runtime has kernels."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import onnx
import onnx_ir as ir
from onnx.helper import find_min_ir_version_for, make_opsetid
from onnx_ir.passes.common import InlinePass
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from vampnet_models.onnxfile.inference import infer
from vampnet_models.repair.opset_adapters import ADAPTERS, CannotRaise
from vampnet_models.spec import IR_VERSION

_UNBOUNDED = 2**31 - 1
"""The last version of a kernel that names none."""


def raise_opset(model: ir.Model, target: int) -> None:
    """Bring an older model to opset `target`, in place; a newer one stays.

    Functions are inlined first. Operators that ONNX does not know keep their number-less meaning:
    they are the runtime's own. Raises CannotRaise that names the node and the reason; the model is
    of no use then.
    """
    _inline(model)
    current = model.graph.opset_imports.get("", 0)
    if current < target:
        if any(version > current for _, version in ADAPTERS):
            infer(model)
        _adapt(list(ir.traversal.RecursiveGraphIterator(model.graph)), current, target)
        model.graph.opset_imports[""] = target
        for graph in model.graphs():
            if "" in graph.opset_imports:
                graph.opset_imports[""] = target
    needed = find_min_ir_version_for([make_opsetid("", model.graph.opset_imports[""])], True)
    model.ir_version = max(model.ir_version, IR_VERSION, needed)


def without_kernel(model: ir.Model, opset: int) -> list[str]:
    """The operators of a model that have a kernel on the CPU now and none at a newer `opset`.

    An operator that is only a function of others counts as one without, where it changes.
    """
    current = model.graph.opset_imports.get("", 0)
    if opset <= current:
        return []
    names = {n.op_type for n in ir.traversal.RecursiveGraphIterator(model.graph) if n.domain == ""}
    return sorted(name for name in names if _loses_kernel(name, current, opset))


def _loses_kernel(name: str, current: int, opset: int) -> bool:
    new = _schema(name, opset)
    if new is None or name == "Constant" or _has_kernel(name, new.since_version):
        return False
    old = _schema(name, current)
    body_changes = bool(new.has_function or new.has_context_dependent_function)
    return old is None or old.since_version != new.since_version or body_changes


def _inline(model: ir.Model) -> None:
    """Inline the functions, each brought to the model's opset, or the model to the newest."""
    if not model.functions:
        return
    current = model.graph.opset_imports.get("", 0)
    newest = max((f.opset_imports.get("", 0) for f in model.functions.values()), default=0)
    if newest > current:
        infer(model)
        _adapt(list(ir.traversal.RecursiveGraphIterator(model.graph)), current, newest)
        model.graph.opset_imports[""] = newest
    for function in model.functions.values():
        own = function.opset_imports.get("", newest)
        wanted = max(newest, current)
        _adapt(list(ir.traversal.RecursiveGraphIterator(function)), own, wanted)
        function.opset_imports[""] = wanted
    InlinePass()(model)


def _adapt(nodes: Iterable[ir.Node], current: int, target: int) -> None:
    for node in nodes:
        if node.domain != "" or current >= target:
            continue
        before = _schema(node.op_type, current)
        try:
            _through_adapters(node, current, target)
            after = _schema(node.op_type, target)
            if after is not None and (before is None or before.since_version < after.since_version):
                _check(node, before, after)
        except CannotRaise as reason:
            name = node.name or node.outputs[0].name
            raise CannotRaise(f"{node.op_type} {name}: {reason}") from reason
        except (TypeError, ValueError, IndexError) as error:
            # An attribute of a type that its operator does not have, or a missing input.
            name = node.name or node.op_type
            raise CannotRaise(f"{node.op_type} {name}: is not as ONNX defines it") from error


def _through_adapters(node: ir.Node, current: int, target: int) -> None:
    for version in range(current + 1, target + 1):
        adapter = ADAPTERS.get((node.op_type, version))
        if adapter is not None:
            adapter(node)


def _check(node: ir.Node, before: Any, after: Any) -> None:
    """Raise CannotRaise unless the newer definition takes the node, and means the same by it."""
    if after.deprecated:
        raise CannotRaise(f"opset {after.since_version} has it no more")
    unknown = sorted(set(node.attributes) - set(after.attributes))
    if unknown:
        raise CannotRaise(f"opset {after.since_version} knows no {', '.join(unknown)}")
    if not after.min_input <= len(node.inputs) <= after.max_input:
        raise CannotRaise(f"opset {after.since_version} takes no {len(node.inputs)} inputs")
    if before is None:
        return
    for name, old in before.attributes.items():
        new = after.attributes.get(name)
        if new is None or name in node.attributes or not old.default_value.type:
            continue
        if old.default_value != new.default_value:
            node.attributes.add(ir.serde.deserialize_attribute(old.default_value))


def _schema(name: str, opset: int) -> Any:
    """ONNX's definition of an operator in an opset; None where it knows none."""
    try:
        return onnx.defs.get_schema(name, opset, "")
    except onnx.defs.SchemaError:
        return None


@cache
def _kernels() -> dict[str, tuple[tuple[int, int], ...]]:
    """The versions that the CPU has kernels for, by operator of the default domain."""
    found: dict[str, list[tuple[int, int]]] = {}
    for kernel in runtime.get_all_opkernel_def():
        if kernel.domain == "" and kernel.provider == "CPUExecutionProvider":
            found.setdefault(kernel.op_name, []).append(kernel.version_range)
    return {name: tuple(ranges) for name, ranges in found.items()}


def _has_kernel(name: str, version: int) -> bool:
    """Whether a definition of that version finds a kernel: the runtime's own rule.

    A kernel without a last version takes the one definition that it was written for.
    """
    return any(
        version == first or (last != _UNBOUNDED and first <= version <= last)
        for first, last in _kernels().get(name, ())
    )
