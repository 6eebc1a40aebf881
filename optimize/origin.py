"""A model that was converted before, and what to convert in its place."""

from __future__ import annotations

import onnx_ir as ir

from optimize.variant import read_record, record_path
from vampnet_models.errors import InputError
from vampnet_models.native.library import PORTABLE_KEY
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.operators import MICROSOFT, NATIVE_DOMAIN, QUANTIZED_OPS
from vampnet_models.records.variant import VariantRecord

_FUSED_OPS = frozenset({"Attention"})


def check_origin(model: ir.Model, source: Artifact, *, as_exported: bool) -> None:
    """Refuse a model that cannot be converted again.

    One with operators of the optional library never can: the result would have no portable model
    to open in its place. `as_exported` also refuses what was fused or quantized, by its record or
    its operators. What was quantized here is refused by every recipe. Raises InputError that names
    the model to convert.
    """
    record = _record(source)
    made_from = None if record is None else record.source.name
    custom = sorted({node.op_type for node in model.graph if node.domain == NATIVE_DOMAIN})
    if custom:
        portable = model.metadata_props.get(PORTABLE_KEY)
        instead = made_from or (f"the source of {portable}" if portable else "its source")
        raise InputError(
            f"{source.path}: has operators of the optional library ({', '.join(custom)}) and would "
            f"lose its portable model; convert {instead}"
        )
    if not as_exported:
        if record is not None and QUANTIZED_OPS & {node.op_type for node in model.graph}:
            raise InputError(
                f"{source.path}: is {record.recipe} of {made_from} already: what its rounding lost "
                f"would be lost twice; convert {made_from}"
            )
        return
    what = _by_operators(model) if record is None else record.recipe
    if what is not None:
        raise InputError(
            f"{source.path}: is {what} already, and this recipe takes a model as it was exported; "
            f"convert {made_from or 'its FP32 source'}"
        )


def _by_operators(model: ir.Model) -> str | None:
    """How the graph was changed before; None where nothing shows it."""
    operators = {node.op_type for node in model.graph}
    if found := operators & QUANTIZED_OPS:
        return f"quantized ({', '.join(sorted(found))})"
    domains = {node.op_type for node in model.graph if node.domain == MICROSOFT}
    if found := domains | operators & _FUSED_OPS:
        return f"fused ({', '.join(sorted(found))})"
    return None


def _record(source: Artifact) -> VariantRecord | None:
    """The record beside a model; None without one, or where it is of another content."""
    try:
        record = read_record(record_path(source.path))
    except InputError:
        return None
    return record if record.sha256 == source.sha256 else None
