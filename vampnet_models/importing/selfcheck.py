"""Imported models against an eager PyTorch run of the same checkpoints, where torch is there."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vampnet_models.architectures import torch_reference
from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.transformer import TransformerConfig
from vampnet_models.architectures.wavebeat import WavebeatConfig
from vampnet_models.importing.sources import Source
from vampnet_models.importing.verification import (
    Figure,
    Verification,
    codes_figure,
    error_figure,
    first_output,
)
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.spec import FILE_STEMS, Role

_PROBE_FRAMES = 24
"""Enough for every dilation and both kinds of position buckets, and quick at full size."""

_TOLERANCE = 1e-4
"""Largest absolute difference from float64, of audio, and of logits over the largest logit."""

_ROUNDING_ROOM = 4.0
"""Where PyTorch's own float32 strays further than that, so may the models: this many times."""

_CODES_EQUAL = 0.95
"""Two float32 libraries part at near-ties, and a codebook's choice decides the next ones'."""

_Network = Callable[["_Reading"], Any]


@dataclass(frozen=True)
class _Reading:
    """The checkpoints of a network as torch tensors of one precision."""

    own: torch_reference.Stored
    codec: torch_reference.Stored | None


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def check_with_torch(folder: Path, sources: Sequence[Source]) -> Verification:
    """Run each imported model and the eager network of its checkpoint on one seeded input."""
    torch = importlib.import_module("torch")
    codec = next((s for s in sources if isinstance(s.config, CodecConfig)), None)
    figures: list[Figure] = []

    def read(source: Source, dtype: str) -> _Reading:
        books = None if codec is None else codec.checkpoint.tensors
        return _Reading(
            torch_reference.Stored(torch, source.checkpoint.tensors, dtype, source.ledger.left()),
            None if books is None else torch_reference.Stored(torch, books, dtype),
        )

    with torch.inference_mode():
        for source in sources:
            readings = (read(source, "float32"), read(source, "float64"))
            if isinstance(source.config, CodecConfig):
                figures += _codec(folder, source.config, *readings)
            elif isinstance(source.config, WavebeatConfig):
                figures.append(_beats(folder, source.config, *readings))
            else:
                figures.append(_transformer(folder, source.config, *readings))
    return Verification(f"eager PyTorch {torch.__version__}", tuple(figures))


def _codec(folder: Path, config: CodecConfig, rounded: _Reading, exact: _Reading) -> list[Figure]:
    encoder = _path(folder, Role.CODEC_ENCODER)
    audio = _noise(_PROBE_FRAMES * config.hop - 1)
    tensor = rounded.own.torch.from_numpy
    codes = _numpy(torch_reference.encode(config, rounded.own, tensor(audio)))
    found = first_output(encoder, {"audio": audio}, "the probe")
    decoded = _compare(
        "audio",
        _path(folder, Role.CODEC_DECODER),
        {"codes": codes},
        lambda reading: torch_reference.decode(config, reading.own, tensor(codes)),
        (rounded, exact),
    )
    return [codes_figure("codes", encoder, found, codes, _CODES_EQUAL), decoded]


def _transformer(
    folder: Path, config: TransformerConfig, rounded: _Reading, exact: _Reading
) -> Figure:
    rng = np.random.default_rng(0)
    shape = (1, config.n_codebooks, _PROBE_FRAMES)
    codes, mask = rng.integers(0, config.vocab_size, shape), rng.integers(0, 2, shape)
    mask[:, : config.n_conditioning_codebooks] = 0
    tensor = rounded.own.torch.from_numpy

    def run(reading: _Reading) -> Any:
        if reading.codec is None:
            raise ValueError("a transformer without its codec")
        own, codec = reading.own, reading.codec
        return torch_reference.transform(config, own, codec, tensor(codes), tensor(mask))

    feeds = {"codes": codes, "mask": mask}
    return _compare("logits", _path(folder, config.role), feeds, run, (rounded, exact))


def _beats(folder: Path, config: WavebeatConfig, rounded: _Reading, exact: _Reading) -> Figure:
    audio = _noise(_PROBE_FRAMES * config.stride**config.nblocks - 1)
    given = rounded.own.torch.from_numpy(audio)
    return _compare(
        "logits",
        _path(folder, Role.BEATS),
        {"audio": audio},
        lambda reading: torch_reference.track_beats(config, reading.own, given),
        (rounded, exact),
    )


def _compare(
    key: str, path: Path, feeds: Feeds, network: _Network, readings: tuple[_Reading, _Reading]
) -> Figure:
    """A model against the float64 network; float32's own distance widens the limit."""
    rounded, exact = (_numpy(network(reading)) for reading in readings)
    largest = max(1.0, float(np.max(np.abs(exact))))
    floor = float(np.max(np.abs(rounded - exact)))
    limit = max(_TOLERANCE * largest, _ROUNDING_ROOM * floor)
    return error_figure(key, path, first_output(path, feeds, "the probe"), exact, limit)


def _path(folder: Path, role: Role) -> Path:
    return folder / f"{FILE_STEMS[role]}.onnx"


def _noise(samples: int) -> Array:
    """Seeded noise, float32 `[1, 1, samples]`."""
    noise = np.random.default_rng(0).standard_normal((1, 1, samples))
    return (0.3 * noise).astype(np.float32)


def _numpy(values: Any) -> Array:
    return np.asarray(values.numpy())
