"""What a model's metadata says of where it comes from."""

from __future__ import annotations

import onnx_ir as ir

from vampbench.work.workspace import Json
from vampnet_models.spec import ROLE_KEY, WEIGHTS_KEY


def provenance_of(model: ir.Model) -> Json:
    """The kind of weights, and whether this workbench wrote the graph."""
    return {
        "weights": model.metadata_props.get(WEIGHTS_KEY, "unknown"),
        "made_here": ROLE_KEY in model.metadata_props,
    }
