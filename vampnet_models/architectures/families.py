"""The family that a codec and the transformers trained on its codes make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import onnx_ir as ir

from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.transformer import TransformerConfig
from vampnet_models.family import (
    FAMILIES,
    FAMILY_KEY,
    VAMPNET,
    Family,
    codec_family,
    family_text,
)
from vampnet_models.spec import CHAIN_ROLES, Role


def family_of(codec: CodecConfig, transformers: Iterable[TransformerConfig] = ()) -> Family:
    """Every number from the constructor arguments; the name from the list where it stands there."""
    family = codec_family(
        f"{codec.kind.upper()} {codec.sample_rate / 1000:g} kHz",
        codec.sample_rate,
        codec.hop,
        codec.n_codebooks,
        codec.codebook_size,
        codec.codebook_dim,
    )
    listed = (replace(f, name=family.name, n_coarse_codebooks=0) for f in FAMILIES)
    family = next((f for f, own in zip(FAMILIES, listed, strict=True) if own == family), family)
    coarse = {_coarse_codebooks(config) for config in transformers}
    if not coarse:
        return family
    return replace(family, name=VAMPNET.name, n_coarse_codebooks=min(coarse))


def _coarse_codebooks(config: TransformerConfig) -> int:
    return config.n_conditioning_codebooks or config.n_codebooks


def name_family(models: Mapping[Role, ir.Model], family: Family) -> None:
    """Write the family into the metadata of the chain's models, in place."""
    for role in CHAIN_ROLES:
        if role in models:
            models[role].metadata_props[FAMILY_KEY] = family_text(family)
