"""Whole sets of models with seeded weights, for trying every step at any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from vampnet_models.architectures.codec import CodecConfig, build_decoder, build_encoder
from vampnet_models.architectures.families import family_of, name_family
from vampnet_models.architectures.parameter_shapes import codec_shapes, transformer_shapes
from vampnet_models.architectures.seeded import SeededTensors
from vampnet_models.architectures.transformer import TransformerConfig, build_transformer
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import FILE_STEMS, Role

_Array = NDArray[np.float32]
_Report = Callable[[str], None]
"""Called with the name of each model before it is written."""

_PROBE_S = 3.0
"""How much of the sample audio the codebooks are drawn from."""


@dataclass(frozen=True)
class Preset:
    """The three configurations of a set."""

    name: str
    summary: str
    codec: CodecConfig
    coarse: TransformerConfig
    c2f: TransformerConfig


def _codec(
    encoder_dim: int, decoder_dim: int, decoder_rates: tuple[int, ...] = (6, 4, 4, 2, 2, 2)
) -> CodecConfig:
    return CodecConfig(
        encoder_dim=encoder_dim,
        encoder_rates=(2, 6, 8, 8),
        decoder_dim=decoder_dim,
        decoder_rates=decoder_rates,
        n_codebooks=14,
        codebook_size=1024,
        codebook_dim=8,
        sample_rate=VAMPNET.sample_rate_hz,
    )


def _transformer(
    layers: int, width: int, heads: int, codebooks: int, given: int
) -> TransformerConfig:
    return TransformerConfig(
        n_heads=heads,
        n_layers=layers,
        n_codebooks=codebooks,
        n_conditioning_codebooks=given,
        latent_dim=8,
        embedding_dim=width,
        vocab_size=1024,
    )


_COARSE, _C2F = _transformer(20, 1280, 20, 4, 0), _transformer(16, 1280, 20, 14, 4)

PRESETS = (
    Preset(
        "small",
        "the true architecture, reduced: a few MB per model",
        _codec(12, 128),
        _transformer(4, 192, 6, 4, 0),
        _transformer(4, 128, 4, 14, 4),
    ),
    Preset("vampnet", "the full published dimensions: 3.0 GB", _codec(64, 1536), _COARSE, _C2F),
    Preset(
        "vampnet-small-decoder",
        "the full dimensions with a decoder of about 91 MB, whose width (608) and strides are our "
        "own choice: "
        "what the published 90.8 MB file holds is unknown",
        _codec(64, 608, (6, 4, 4, 4, 2)),
        _COARSE,
        _C2F,
    ),
)


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises InputError that lists the names."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise InputError(f"{name}: no such preset; choose one of {', '.join(p.name for p in PRESETS)}")


def synth(
    preset_name: str,
    folder: Path,
    *,
    seed: int = 0,
    audio: _Array | None = None,
    report: _Report | None = None,
) -> tuple[Path, ...]:
    """Write codec_encoder, codec_decoder, coarse and c2f with seeded weights; their paths.

    The codec's codebooks are drawn from the encoder's own latents of `audio` (float32
    `[samples]` at 44.1 kHz; a seeded chord with noise when None), so that tokens are spread.
    """
    preset = find_preset(preset_name)
    codec = SeededTensors(codec_shapes(preset.codec), seed)
    _draw_codebooks(codec, preset.codec, probe_audio(seed) if audio is None else audio)
    coarse = SeededTensors(
        transformer_shapes(preset.coarse), seed + 1, depth=preset.coarse.n_layers
    )
    c2f = SeededTensors(transformer_shapes(preset.c2f), seed + 2, depth=preset.c2f.n_layers)
    written = []
    family = family_of(preset.codec, (preset.coarse, preset.c2f))
    for role in (Role.CODEC_ENCODER, Role.CODEC_DECODER, Role.COARSE, Role.C2F):
        path = folder / f"{FILE_STEMS[role]}.onnx"
        if report is not None:
            report(path.name)
        model = _build(role, preset, codec, coarse, c2f)
        name_family({role: model}, family)
        save_model(model, path)
        written.append(path)
    return tuple(written)


def _build(
    role: Role, preset: Preset, codec: SeededTensors, coarse: SeededTensors, c2f: SeededTensors
) -> ir.Model:
    if role is Role.CODEC_ENCODER:
        return build_encoder(preset.codec, Ledger(codec), "seeded")
    if role is Role.CODEC_DECODER:
        return build_decoder(preset.codec, Ledger(codec), "seeded")
    if role is Role.COARSE:
        return build_transformer(preset.coarse, Ledger(coarse), Ledger(codec), "seeded")
    return build_transformer(preset.c2f, Ledger(c2f), Ledger(codec), "seeded")


def probe_audio(seed: int) -> _Array:
    """Six seeded decaying chords over noise, float32 `[samples]`, PROBE_S seconds."""
    rng = np.random.default_rng(seed)
    n = int(_PROBE_S * VAMPNET.sample_rate_hz)
    time_s = np.arange(n) / VAMPNET.sample_rate_hz
    beat_s = _PROBE_S / 6
    envelope = np.exp(-6 * (time_s % beat_s))
    beat = (time_s / beat_s).astype(int).clip(0, 5)
    audio = 0.02 * rng.standard_normal(n)
    for partial in range(1, 9):
        pitch_hz = partial * 110 * 2 ** (rng.integers(0, 24, 6) / 12)
        audio += np.sin(2 * np.pi * pitch_hz[beat] * time_s) * envelope / partial
    peaked: _Array = (0.5 * audio / np.abs(audio).max()).astype(np.float32)
    return peaked


def _draw_codebooks(tensors: SeededTensors, config: CodecConfig, audio: _Array) -> None:
    """Take each codebook's rows from the residuals that reach it.

    in_proj is made orthonormal and out_proj its transpose, so that a codebook takes away what it
    explains and the next one sees a true residual.
    """
    residual = _latent(tensors, config, audio)
    rng = np.random.default_rng(0)
    for index in range(config.n_codebooks):
        prefix = f"quantizer.quantizers.{index}"
        drawn = tensors.read(f"{prefix}.in_proj.weight_v")[:, :, 0]
        basis = np.linalg.qr(drawn.T)[0].astype(np.float32)
        for name, matrix in (("in_proj", basis.T), ("out_proj", basis)):
            norm = np.linalg.norm(matrix, axis=1, keepdims=True)
            tensors.replace(f"{prefix}.{name}.weight_v", matrix[:, :, None])
            tensors.replace(f"{prefix}.{name}.weight_g", norm[:, :, None])
            bias = f"{prefix}.{name}.bias"
            tensors.replace(bias, np.zeros(tensors.shape(bias), np.float32))
        projected = residual @ basis
        picks = rng.choice(len(projected), config.codebook_size)
        jitter = rng.standard_normal((config.codebook_size, config.codebook_dim), np.float32)
        book = projected[picks] + 0.3 * projected.std() * jitter
        tensors.replace(f"{prefix}.codebook.weight", book)
        unit = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        rows = book / np.maximum(np.linalg.norm(book, axis=1, keepdims=True), 1e-12)
        chosen = np.argmax(unit @ rows.T, axis=1)
        residual = residual - book[chosen] @ basis.T


def _latent(tensors: SeededTensors, config: CodecConfig, audio: _Array) -> _Array:
    """The encoder's latent of the audio's first seconds, float32 `[frames, channels]`."""
    model = build_encoder(config, Ledger(tensors), "seeded")
    projection = next(n for n in model.graph if n.name and n.name.endswith("0.in_proj/Conv"))
    latent = projection.inputs[0]
    if latent is None:
        raise ValueError("the first in_proj has no input")
    model.graph.outputs.clear()
    model.graph.outputs.append(latent)
    RemoveUnusedNodesPass()(model)
    samples = audio[: int(_PROBE_S * VAMPNET.sample_rate_hz)][None, None, :]
    # Through a file, so that the weights are streamed and exist once in memory.
    with scratch_folder() as folder:
        path = folder / "latent.onnx"
        save_model(model, path, external=True)
        session = open_session(path)
        values: _Array = session.run({"audio": samples})[session.output_names[0]]
    return np.ascontiguousarray(values[0].T)
