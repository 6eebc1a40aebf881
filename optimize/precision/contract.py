"""What a precision is: a plan for a graph, what it needs to know, and the conversion.

Which nodes decide codes, read a waveform or embed codes cannot be told from operators: any
classifier ends in an ArgMax and any image network may begin with one channel. A model's role tells,
by its traits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.ranges.observers import ChannelRange, Range
from vampnet_models.onnxfile.operators import WEIGHT_OPS
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.variant import FloatNode, MixedNode
from vampnet_models.spec import ModelSpec, Part, Role


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


@dataclass(frozen=True)
class Conversion:
    """What a precision did: weight-carrying nodes by precision, nodes left or converted apart.

    `limits` are the values that static quantizers cover, of each tensor that was observed.
    """

    precision: dict[str, int]
    float_nodes: tuple[FloatNode, ...] = ()
    mixed_nodes: tuple[MixedNode, ...] = ()
    warnings: tuple[str, ...] = ()
    limits: Mapping[str, Range | ChannelRange] = field(default_factory=dict)

    def not_as_named(self, recipe: str) -> tuple[str, ...]:
        """A warning where no node got the recipe's precision, so that its name says too much."""
        apart = self.mixed_nodes
        converted = sum(n for kind, n in self.precision.items() if kind != "float32")
        if not apart or len(apart) < converted:
            return ()
        kinds = ", ".join(sorted({node.precision for node in apart}))
        return (
            f"no node is what {recipe} says: all {len(apart)} are {kinds}; the first is "
            f"{apart[0].reason}",
        )


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


class Needs(Flag):
    """What sample data has to tell before a precision can convert a model.

    `RANGES` and `MOMENTS` are those that its plan names; `FEEDS` are the model's inputs themselves.
    """

    NOTHING = 0
    RANGES = auto()
    MOMENTS = auto()
    FEEDS = auto()


@dataclass(frozen=True)
class Plan:
    """What a precision would do to a graph, before anything is changed.

    `chosen` nodes are converted, heavy ones that are not are `left` with reasons. `ranges` are the
    tensors whose values calibration has to observe, by name: per channel of that axis, or (None) as
    a whole. `moments` are the activations whose second moments are made use of, with their numbers
    of channels. `traits` are those of the model.
    """

    chosen: tuple[ir.Node, ...]
    left: tuple[FloatNode, ...]
    ranges: Mapping[str, int | None] = field(default_factory=dict)
    moments: Mapping[str, int] = field(default_factory=dict)
    traits: Traits = NO_TRAITS


@dataclass(frozen=True)
class Evidence:
    """What sample data said of the fused float32 model, as far as a plan asked for it.

    What waits until the model is written may lie in `scratch` (None: where temporary files are).
    `fused` is the model itself in a file, where a plan names ranges or moments.
    """

    ranges: Mapping[str, RangeLike] = field(default_factory=dict)
    moments_of: MomentsOf | None = None
    feeds: Sequence[Feeds] = ()
    scratch: Path | None = None
    fused: Path | None = None


_P = TypeVar("_P", bound=Plan)


class Precision(ABC, Generic[_P]):
    """How a fused model's weights and arithmetic are stored.

    One is a frozen dataclass of its settings. `optimize.build` does the rest for each: it raises
    the opset and fuses before, gathers the evidence, puts stand-ins back and drops what nothing
    reads, and then checks the interface, saves, loads and probes.
    """

    @property
    def needs(self) -> Needs:
        """What has to be known of sample data; nothing unless a precision says so."""
        return Needs.NOTHING

    @property
    def settings(self) -> Mapping[str, str]:
        """What is recorded with the calibration: other settings make another variant of it."""
        return {}

    @abstractmethod
    def plan(self, graph: ir.Graph, traits: Traits) -> _P:
        """What is converted and what is left, and what calibration has to tell for it.

        Nothing is changed. Raises InputError for settings that do not fit the graph.
        """

    @abstractmethod
    def apply(self, model: ir.Model, plan: _P, evidence: Evidence) -> Conversion:
        """Convert a model in place by the plan of its graph; weights are read as they are written.

        A node of the plan that the evidence does not allow stays in float, and says so.
        """


@dataclass(frozen=True)
class Float32(Precision[Plan]):
    """Everything as it is; the weights are counted."""

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """Nothing is converted."""
        return Plan((), (), traits=traits)

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Count the nodes with weights."""
        return Conversion({"float32": sum(1 for node in model.graph if node.op_type in WEIGHT_OPS)})


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


def traits_of(spec: ModelSpec, *, given: bool = False) -> Traits:
    """The traits of a source by its role, or by its part of the split form.

    With `given`, it is calibrated on a user's own feeds, which may have seen little.
    """
    by_role = _OF_ROLES.get(spec.role)
    if by_role is not None:
        return replace(by_role, is_calibrated_on_audio=not given)
    return NO_TRAITS if spec.part is None else _OF_PARTS[spec.part]
