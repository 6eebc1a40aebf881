"""The models that are used when none are given."""

from __future__ import annotations

from pathlib import Path

from vampnet_models.spec import FILE_STEMS
from vampnet_models.synth import synth


def builtin_models(folder: Path) -> Path:
    """The folder that holds the four built-in models, written below `folder` if need be."""
    models = folder / "builtin"
    if not all((models / f"{stem}.onnx").is_file() for stem in FILE_STEMS.values()):
        synth("small", models)
    return models
