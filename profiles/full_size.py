"""What VampNet's models of full size weigh in each recipe, and whether a model is far from that.

Sizes are read off written files, none is extrapolated: of what a small model keeps in float, tables
and scales take a larger share.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from vampnet_models.family import VAMPNET, Family
from vampnet_models.records.results import Results
from vampnet_models.spec import CHAIN_ROLES, Role

SOURCE = "source"
"""The FP32 model itself, where a recipe may stand."""

TABLE = Path(__file__).with_suffix(".json")
"""Role -> recipe -> bytes of the files that `python -m bench.full_size` wrote: measured, of models
of the published dimensions with seeded weights."""

_SMALL_BELOW = 0.4
"""A source below this share of the least published size is a small model (FP16 would be 0.5)."""

_SMALL_DECODER_BYTES = 90.8e6
"""The decoder was published in two sizes: either is of full size."""


@cache
def _table() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def full_size_bytes(role: str, recipe: str = SOURCE) -> int | None:
    """Bytes of the full-size model of a role in a recipe, as written with seeded weights.

    None where that was not measured: of another role, and of recipes with settings of their own.
    """
    return _table().get(role, {}).get(recipe)


def full_size_total_bytes() -> int:
    """All four FP32 models together."""
    return sum(_table()[role.value][SOURCE] for role in CHAIN_ROLES)


def is_far_smaller(role: str, source_bytes: float | None, family: Family | None) -> bool:
    """Whether a model of the chain is far below the published size of its role.

    Nothing is published here of a codec without transformers.
    """
    if family is not None and not family.n_coarse_codebooks:
        return False
    is_decoder = role == Role.CODEC_DECODER
    published = _SMALL_DECODER_BYTES if is_decoder else full_size_bytes(role)
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
