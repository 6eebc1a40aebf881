"""The files that make a model, and their size, without hashing them."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from vampnet_models.onnxfile.artifact import load_model


def model_files(path: Path) -> tuple[Path, ...]:
    """The model and its external data files. Raises InputError as `load_model` does."""
    return files_of(load_model(path), path)


def files_of(model: ir.Model, path: Path) -> tuple[Path, ...]:
    """The same for a model that is already loaded from `path`."""
    tensors = (v.const_value for v in model.graph.initializers.values())
    names = {str(t.location) for t in tensors if isinstance(t, ir.ExternalTensor)}
    return (path, *(path.parent / name for name in sorted(names)))


def size_of(files: tuple[Path, ...]) -> int:
    """Bytes of all of them together."""
    return sum(f.stat().st_size for f in files)
