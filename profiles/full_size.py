"""What VampNet's published models weigh, and whether a model is far from that."""

from __future__ import annotations

from vampnet_models.family import VAMPNET, Family
from vampnet_models.records.results import Results
from vampnet_models.spec import CHAIN_ROLES, Role

FULL_SIZE_BYTES = {
    Role.CODEC_ENCODER: 91e6,
    Role.COARSE: 1.33e9,
    Role.C2F: 1.10e9,
    Role.CODEC_DECODER: 510e6,
}
"""The published FP32 models, as ONNX files."""

FULL_SIZE_TOTAL_BYTES = sum(FULL_SIZE_BYTES.values())

_SMALL_BELOW = 0.4
"""A source below this share of the least published size is a small model (FP16 would be 0.5)."""

_LEAST_PUBLISHED_BYTES = {**FULL_SIZE_BYTES, Role.CODEC_DECODER: 90.8e6}
"""The decoder was published in two sizes: either is of full size."""


def is_far_smaller(role: str, source_bytes: float | None, family: Family | None) -> bool:
    """Whether a model of the chain is far below the published size of its role.

    Nothing is published here of a codec without transformers.
    """
    if family is not None and not family.n_coarse_codebooks:
        return False
    published = {each.value: size for each, size in _LEAST_PUBLISHED_BYTES.items()}.get(role)
    if published is None or source_bytes is None:
        return False
    return source_bytes < _SMALL_BELOW * published


def is_whole_vampnet(results: Results) -> bool:
    """Whether a run holds VampNet's four models: one of each role, and beat trackers perhaps.

    A run of an earlier version notes no family: it knew no other.
    """
    models = [m for m in results.models if m.role != Role.BEATS.value]
    its_own = (m.family is None or m.family.shares_codec(VAMPNET) for m in models)
    roles = sorted(role.value for role in CHAIN_ROLES)
    return sorted(m.role for m in models) == roles and all(its_own)
