"""What a precision is: a plan for a graph, what it needs to know, and the conversion.

Which nodes decide codes, read a waveform or embed codes cannot be told from operators: any
classifier ends in an ArgMax and any image network may begin with one channel. A model's role tells,
by its traits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from vampnet_models.records.variant import FloatNode, MixedNode
from vampnet_models.spec import ModelSpec, Part, Role


@dataclass(frozen=True)
class Conversion:
    """What a precision did: weight-carrying nodes by precision, nodes left or converted apart."""

    precision: dict[str, int]
    float_nodes: tuple[FloatNode, ...] = ()
    mixed_nodes: tuple[MixedNode, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The nodes to convert, and the heavy nodes to leave."""

    chosen: tuple[ir.Node, ...]
    left: tuple[FloatNode, ...]


class RangeLike(Protocol):
    """The smallest and largest value that calibration saw, or those of each channel."""

    @property
    def low(self) -> float | NDArray[np.float32]:
        """Smallest."""
        ...

    @property
    def high(self) -> float | NDArray[np.float32]:
        """Largest."""
        ...


MomentsOf = Callable[[Mapping[str, int]], Iterable[tuple[str, NDArray[np.float64]]]]
"""From activations and their numbers of channels to X^T X of each, in that order."""


@dataclass(frozen=True)
class Traits:
    """The family's rules that hold for a model; for one of another kind, none does.

    `is_family`: its graph is one on which the speed of integer kernels was measured.
    `is_calibrated_on_audio`: it has a place in the chain, through which its calibration comes.
    """

    is_family: bool = False
    decides_codes: bool = False
    has_waveform: bool = False
    embeds_codes: bool = False
    is_decoder: bool = False
    is_calibrated_on_audio: bool = False


NO_TRAITS = Traits()

_ENCODER = Traits(is_family=True, decides_codes=True, has_waveform=True)
_DECODER = Traits(is_family=True, has_waveform=True, is_decoder=True)
_TRANSFORMER = Traits(is_family=True, embeds_codes=True)

_OF_ROLES = {
    Role.CODEC_ENCODER: _ENCODER,
    Role.CODEC_DECODER: _DECODER,
    Role.COARSE: _TRANSFORMER,
    Role.C2F: _TRANSFORMER,
    Role.BEATS: Traits(is_family=True, has_waveform=True),
}

_OF_PARTS = {
    Part.COARSE_EMBEDDINGS: _TRANSFORMER,
    Part.C2F_EMBEDDINGS: _TRANSFORMER,
    Part.COARSE_TRANSFORMER: _TRANSFORMER,
    Part.C2F_TRANSFORMER: _TRANSFORMER,
    Part.ENCODER: _ENCODER,
    Part.QUANTIZER: _ENCODER,
    Part.FROM_CODES: Traits(is_family=True),
    Part.DECODER: _DECODER,
}


def traits_of(spec: ModelSpec) -> Traits:
    """The traits of a source by its role, or by its part of the split form."""
    by_role = _OF_ROLES.get(spec.role)
    if by_role is not None:
        return replace(by_role, is_calibrated_on_audio=True)
    return NO_TRAITS if spec.part is None else _OF_PARTS[spec.part]
