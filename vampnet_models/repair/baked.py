"""A length baked into constants, found by running at others.

Exporters declare axes dynamic whose length is baked into constants. The declaration proves
nothing: a model is run at two lengths, and where that fails, at the lengths that its constants
suggest.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnxruntime import RunOptions

from vampnet_models.errors import reason_of
from vampnet_models.family import TYPICAL
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Array, Feeds, Session
from vampnet_models.repair.layouts import inputs_of
from vampnet_models.spec import ROLE_KEY, ModelSpec, Role, TensorSpec, conditioning_of
from vampnet_models.structure import constant_of

_PROBED_FRAMES = (37, 61)
_MAX_CANDIDATES = 48
_MAX_FRAMES = 8192
"""No longer length is tried, whatever a file's constants are."""

_OUT_OF_BOUNDS = "indices element out of data bounds"
"""What the runtime says of a code that a table does not have."""

_DATA_SHAPED = ("NonZero", "Compress", "Unique", "NonMaxSuppression")
_USUAL_FRAMES = (100, TYPICAL.c2f_window_frames, TYPICAL.coarse_window_frames)
"""The window of an earlier exporter, and the original's own windows of 3 and 10 s."""


@dataclass(frozen=True)
class Accepted:
    """`fixed` is the only length that runs, in samples or frames; None when any does.

    With `at_most`, shorter ones run too. `declared` tells whether the interface says so;
    `reason` is what the runtime said at another length, and `usable` is False when no length was
    found that runs. With `whole_mask`, a transformer runs only where every position that it
    generates is masked; `mask_reason` is what the runtime said otherwise.
    """

    fixed: int | None = None
    declared: bool = False
    at_most: bool = False
    reason: str | None = None
    usable: bool = True
    whole_mask: bool = False
    mask_reason: str | None = None

    @property
    def restricted(self) -> bool:
        """Whether any length or mask is refused."""
        return self.fixed is not None or not self.usable or self.whole_mask

    def describe(self) -> str:
        """What is wrong, in a few words."""
        if self.whole_mask:
            where = "at any length" if self.fixed is None else f"at length {self.fixed}"
            if self.at_most:
                where = f"up to length {self.fixed}"
            return (
                f"runs {where}, and only where every generated position is masked "
                f"({self.mask_reason})"
            )
        if not self.restricted:
            return "takes any length"
        if not self.usable:
            return f"runs at no length that was tried ({self.reason})"
        if self.at_most:
            return f"declares any length but runs up to {self.fixed} only ({self.reason})"
        if self.declared:
            return f"is fixed at length {self.fixed}"
        return f"declares any length but {self.fixed} is baked in ({self.reason})"

    def applied(self, spec: ModelSpec) -> ModelSpec:
        """The interface with the length that really holds."""
        if self.fixed is None or self.declared:
            return spec
        inputs = tuple(
            replace(t, shape=(*t.shape[:-1], self.fixed)) if len(t.shape) == 3 else t
            for t in spec.inputs
        )
        return replace(spec, inputs=inputs)


def accepted_lengths(path: Path, spec: ModelSpec, session: Session) -> Accepted:
    """Which lengths the model at `path` accepts; `session` is the same model, opened.

    Our own graphs are built and tested for any length: they are not run. Models that are neither
    of a known role nor a part of the split form count as dynamic. A transformer that runs with no
    partly masked codes is tried once more with all that it generates masked.
    """
    timed = [t for t in spec.inputs if len(t.shape) == 3]
    known = spec.role is not Role.GENERIC or spec.part is not None
    if not timed or not known:
        return Accepted()
    fixed = [t.shape[2] for t in timed if isinstance(t.shape[2], int)]
    declared = Accepted(fixed[0], declared=True) if fixed else None
    if declared is not None and spec.role not in (Role.COARSE, Role.C2F):
        return declared
    model = load_model(path)
    if ROLE_KEY in model.metadata_props:
        return declared or Accepted()
    unit = (spec.hop or spec.lengths_of.hop_samples) if timed[0].shape[1] == 1 else 1
    found = _accepted(model, _Probe(spec, session), unit, declared)
    if found.usable or spec.role not in (Role.COARSE, Role.C2F):
        return found
    whole = _accepted(model, _Probe(spec, session, whole_mask=True), unit, declared)
    if not whole.usable:
        return found
    return replace(whole, whole_mask=True, mask_reason=found.reason)


@dataclass(frozen=True)
class _Probe:
    """Runs the model with random inputs of a length."""

    spec: ModelSpec
    session: Session
    whole_mask: bool = False

    def at(self, length: int) -> list[tuple[int, ...]] | str:
        """The shapes that the model answers with at a length, or why it does not run."""
        quiet = RunOptions()
        quiet.log_severity_level = 4
        feed = probe_feed(self.spec, length, whole_mask=self.whole_mask)
        try:
            outputs = self.session.raw.run(None, feed, quiet)
        except Exception as error:  # noqa: BLE001  # the binding has a class per status code
            return _reason(error)
        return [np.shape(o) for o in outputs]


def _accepted(model: ir.Model, probe: _Probe, unit: int, declared: Accepted | None) -> Accepted:
    if declared is not None and declared.fixed is not None:
        answer = probe.at(declared.fixed)
        if isinstance(answer, str):
            return replace(declared, usable=False, reason=answer)
        return declared
    short, long = (frames * unit for frames in _PROBED_FRAMES)
    first, second = (probe.at(length) for length in (short, long))
    if isinstance(first, str) and isinstance(second, str):
        return _only(model, probe, unit, first)
    if isinstance(first, str) or isinstance(second, str):
        runs, fails = (long, short) if isinstance(first, str) else (short, long)
        return _longest(probe, runs, fails, unit)
    if first == second:
        reason = f"outputs are {first} whatever the input's length"
        return Accepted(first[0][2] * unit if len(first[0]) > 2 else None, reason=reason)
    window = probe.spec.window_frames
    if window is None or not isinstance(probe.at(window), str):
        return Accepted()
    return _longest(probe, long, window, unit)


def _only(model: ir.Model, probe: _Probe, unit: int, reason: str) -> Accepted:
    """The first of the lengths that the constants suggest which runs."""
    for length in _candidates(model, unit):
        if not isinstance(probe.at(length), str):
            return Accepted(length, reason=reason)
    return Accepted(reason=reason, usable=False)


def _longest(probe: _Probe, runs: int, fails: int, unit: int) -> Accepted:
    """The last length that runs, by bisection; alone if its neighbours do not.

    A model that refuses only short lengths counts as taking any.
    """
    if fails < runs:
        alone = isinstance(probe.at(runs + unit), str)
        return Accepted(runs, reason=f"{runs + unit} does not fit") if alone else Accepted()
    while fails - runs > unit:
        middle = (runs + fails) // 2 // unit * unit
        if isinstance(probe.at(middle), str):
            fails = middle
        else:
            runs = middle
    reason = probe.at(fails)
    shorter = not isinstance(probe.at(runs - unit), str)
    return Accepted(runs, at_most=shorter, reason=reason if isinstance(reason, str) else None)


def _reason(error: Exception) -> str:
    """The runtime's words without its status codes and source paths."""
    words = " ".join(str(error).split())
    where = re.search(r"while running (\w+) node\. Name:'([^']*)'", words)
    if where is None:
        return reason_of(error, 160)
    if _OUT_OF_BOUNDS in words:
        return f"{where[1]} {where[2]}: a table has fewer entries than the codes that were tried"
    return f"{' '.join(filter(None, where.groups()))} does not fit"


def probe_feed(spec: ModelSpec, length: int, seed: int = 0, *, whole_mask: bool = False) -> Feeds:
    """Random inputs of a length: noise, codes of its codebooks, half of a mask, scalars of 1.

    With `whole_mask` everything is masked that the role generates, and nothing else.
    """
    rng = np.random.default_rng(seed)
    feed = {t.name: _draw(t, length, rng, spec.lengths_of.codebook_size) for t in spec.inputs}
    if whole_mask:
        mask = feed[inputs_of(spec).mask.name]
        mask[:] = 1
        mask[:, : conditioning_of(spec)] = 0
    return feed


def _draw(tensor: TensorSpec, length: int, rng: np.random.Generator, below: int) -> Array:
    if len(tensor.shape) < 3:
        return np.ones([d if isinstance(d, int) else 1 for d in tensor.shape], tensor.dtype)
    sizes = [d if isinstance(d, int) else 1 for d in tensor.shape[:2]]
    shape = (*sizes, tensor.shape[2] if isinstance(tensor.shape[2], int) else length)
    if tensor.dtype == "bool" or "mask" in tensor.name.lower():
        return (rng.random(shape) < 0.5).astype(tensor.dtype)
    if tensor.dtype.startswith("float"):
        return (rng.standard_normal(shape) / 10).astype(tensor.dtype)
    return rng.integers(0, below, shape).astype(tensor.dtype)


def data_shaped(model: ir.Model) -> str | None:
    """The first node whose output's shape depends on the data: no length is followed past it."""
    for node in model.graph.all_nodes():
        if node.op_type in _DATA_SHAPED:
            return f"the shape of {node.op_type} {node.name} depends on the data"
    return None


def _candidates(model: ir.Model, unit: int) -> list[int]:
    """Lengths that the graph's constants suggest, the most frequent first."""
    counts: Counter[int] = Counter()
    for node in model.graph.all_nodes():
        if node.op_type in ("Reshape", "Expand", "Slice", "ConstantOfShape", "Pad", "Tile"):
            for value in node.inputs[1 if len(node.inputs) > 1 else 0 :]:
                array = constant_of(value)
                if array is not None and array.dtype == np.int64 and array.size <= 8:
                    counts.update({int(i) for i in array.reshape(-1) if i > 1})
        for value in node.outputs:
            if value.shape is not None:
                counts.update({d for d in value.shape if isinstance(d, int) and d > 1})
    strides = [
        math.prod(node.attributes.get_ints("strides", (1,)))
        for node in model.graph.all_nodes()
        if node.op_type == "Conv"
    ]
    hop = math.prod(strides) if unit > 1 else 1
    ranked = [n for n, _ in counts.most_common(_MAX_CANDIDATES)]
    if unit == 1:
        found = [*_USUAL_FRAMES, *ranked]
    else:
        by_frames = [n * hop for n in ranked if hop > 1]
        found = [*by_frames, *ranked, *(n * unit for n in _USUAL_FRAMES)]
    return [n for n in dict.fromkeys(found) if n <= _MAX_FRAMES * unit]
