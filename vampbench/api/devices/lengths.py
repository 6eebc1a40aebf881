"""A model for one length, as phones' NPUs want it, and one of any length again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from optimize.origin import check_origin
from vampbench.api.bounds import check_within, typed
from vampbench.api.progress import Heard, Listener
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, open_artifact
from vampnet_models.onnxfile.outputs import model_output
from vampnet_models.repair import make_dynamic as freeing
from vampnet_models.shapes.fix_shapes import fix_shapes
from vampnet_models.shapes.tensor_shapes import Shape, Unresolved
from vampnet_models.spec import ModelSpec, Role
from vampnet_models.text import megabytes

_DEFAULT_S = 3

_MOST_INPUT_BYTES = 256 * 1000 * 1000
"""Half an hour of the encoder's samples; what is fixed is meant for windows of seconds."""


@dataclass(frozen=True)
class Fixed:
    """A model of one length that was written.

    path: its file.
    bytes: its size with its weights.
    inputs: the only shape of each input.
    unresolved: nodes whose shapes stay open, and why.
    """

    path: Path
    bytes: int
    inputs: dict[str, Shape]
    unresolved: tuple[Unresolved, ...]

    def as_json(self) -> Json:
        """As JSON values."""
        return asdict(self) | {
            "path": str(self.path),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
        }


@typed
def make_static(
    model: str | Path, output: str | Path, *, frames: int | None = None, batch: int = 1
) -> Fixed:
    """Write a copy of a chain's model for one number of frames, and of sounds at once.

    `frames` are 3 s of the model's own by default, or of VampNet's where its rate is unknown.
    `output` is a file, or a folder that gets the model's name. Raises InputError for a model whose
    axes have no known meaning, or that has an open channel axis.
    """
    if frames is not None:
        check_within("frames", frames, 1, whole=True)
    check_within("batch", batch, 1, whole=True)
    source, target = Path(model), model_output(Path(output), Path(model))
    artifact = open_artifact(source)
    check_origin(load_model(source), artifact, as_exported=False)
    if frames is None:
        frames = math.ceil(_DEFAULT_S / artifact.spec.lengths_of.frame_s)
    shapes = _shapes_for(artifact.spec, frames, batch, source)
    _check_bytes(artifact.spec, shapes, frames, batch)
    found = fix_shapes(source, shapes, target)
    return Fixed(target, open_artifact(target).bytes, shapes, found.unresolved)


@typed
def make_dynamic(
    model: str | Path, output: str | Path, *, progress: Listener = None
) -> freeing.Dynamic:
    """Write a copy of a transformer of one fixed length that takes any, where that is exact.

    `output` is a file, or a folder that gets the model's name. Raises InputError with the reason
    where a graph cannot be freed, PromiseMissed where the copy does not answer as the model.
    """
    source, target = Path(model), model_output(Path(output), Path(model))
    with Heard(progress).task(f"{source.name}: freeing its length"):
        return freeing.make_dynamic(source, target)


def _check_bytes(spec: ModelSpec, shapes: Mapping[str, Shape], frames: int, batch: int) -> None:
    """Raise InputError where the inputs alone would be larger than any phone should hold."""
    n_bytes = sum(math.prod(shapes[t.name]) * np.dtype(t.dtype).itemsize for t in spec.inputs)
    if n_bytes > _MOST_INPUT_BYTES:
        asked = f"{frames} frames" + (f" in a batch of {batch}" if batch > 1 else "")
        raise InputError(
            f"{asked}: the inputs would take {megabytes(n_bytes)}, more than the "
            f"{megabytes(_MOST_INPUT_BYTES)} that a model of one length may; give less"
        )


def _shapes_for(spec: ModelSpec, frames: int, batch: int, path: Path) -> dict[str, Shape]:
    """Input shapes `[batch, channels, frames]`, of the encoder in samples. Raises InputError."""
    if spec.role in (Role.GENERIC, Role.BEATS):
        raise InputError(
            f"{path}: its axes have no known meaning; a chain's models are taken alone"
        )
    hop = spec.hop if spec.family is None else spec.family.hop_samples
    if spec.role is Role.CODEC_ENCODER and hop is None:
        raise InputError(f"{path}: how many samples make a frame cannot be read off its strides")
    length = frames * hop if spec.role is Role.CODEC_ENCODER and hop else frames
    shapes = {}
    for tensor in spec.inputs:
        channels = [size for size in tensor.shape[1:-1] if isinstance(size, int)]
        if len(channels) < len(tensor.shape) - 2:
            raise InputError(f"{path}: the input {tensor.name} has an open channel axis")
        shapes[tensor.name] = (batch, *channels, length)
    return shapes
