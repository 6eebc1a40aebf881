"""One look at a variant's graph, shared by everything that counts instead of measuring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from profiles.count.cost import ModelCost, model_cost
from profiles.files import files_of, size_of
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.shapes.tensor_shapes import Shape, Shapes, infer_shapes


@dataclass(frozen=True)
class Examined:
    """A loaded graph with the shapes and the cost of one run."""

    path: Path
    files: tuple[Path, ...]
    bytes: int
    model: ir.Model
    shapes: Shapes
    cost: ModelCost


def examine(path: Path, input_shapes: Mapping[str, Shape]) -> Examined:
    """Load a model (weights stay on disk) and count its run at these input shapes.

    Raises InputError when it cannot be read or an input has no shape.
    """
    model = load_model(path)
    files = files_of(model, path)
    try:
        shapes = infer_shapes(model, input_shapes)
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}; add it to the feeds") from None
    return Examined(path, files, size_of(files), model, shapes, model_cost(model, shapes))


def feed_shapes(feeds_path: Path) -> dict[str, Shape]:
    """The shapes in an .npz file. Raises InputError when it cannot be read."""
    try:
        with np.load(feeds_path) as archive:
            return {name: tuple(archive[name].shape) for name in archive.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{feeds_path}: not a readable .npz archive: {error}") from error
