"""A transformer that was exported for one length, freed from it where that is exact.

The graph is followed at its own length and at another one. Whatever bakes the first - a Reshape's
target, a mask, a slice of positions, a bias between frames - is met where the second does not
fit, and is replaced by what the constants allow: nothing is guessed, the rest is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import (
    IdentityEliminationPass,
    LiftConstantsToInitializersPass,
    NameFixPass,
    RemoveUnusedNodesPass,
    ShapeInferencePass,
)
from onnxscript.optimizer import fold_constants

from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.repair.baked import accepted_lengths, probe_feed
from vampnet_models.repair.dynamic_rules import Rewriter
from vampnet_models.repair.opset import raise_opset
from vampnet_models.repair.opset_adapters import CannotRaise
from vampnet_models.shapes.two_lengths import Refused, TwoLengths
from vampnet_models.spec import IR_VERSION, OPSET, ModelSpec, Part, Role

_FOLD_LIMIT = 1 << 23
_TOLERANCE = 1e-4
"""Largest difference of floats at the own length, as a share of the largest value."""

_FREEABLE = (
    Part.COARSE_TRANSFORMER,
    Part.C2F_TRANSFORMER,
    Part.COARSE_EMBEDDINGS,
    Part.C2F_EMBEDDINGS,
    Part.FROM_CODES,
)
"""Pieces of the split form that have one time axis of frames, as the transformers do."""


@dataclass(frozen=True)
class Dynamic:
    """What was done. `longest` is the greatest length in frames; None where any works."""

    path: Path
    own_frames: int
    longest: int | None
    changes: tuple[str, ...]
    largest_difference: float
    tried: tuple[int, ...]


def make_dynamic(source: Path, out: Path) -> Dynamic:
    """Write a copy of the model that takes other lengths, verified against the source.

    At the source's own length integers must be equal and floats within `_TOLERANCE`; at other
    lengths it must run and answer in that length. Raises InputError when the model is no
    transformer, is dynamic already, or cannot be freed exactly (with the reason); PromiseMissed
    when the result does not verify (nothing is left behind then).
    """
    artifact = open_artifact(source)
    spec = artifact.spec
    if spec.role not in (Role.COARSE, Role.C2F) and spec.part not in _FREEABLE:
        raise InputError(
            f"{source}: is {spec.part.value if spec.part else spec.role.value}; only transformers "
            "can be freed here: import the checkpoint instead (`vampbench import`)"
        )
    if out.resolve() in [file.resolve() for file in artifact.files]:
        raise InputError(f"{out}: is the model itself; choose another output")
    accepted = accepted_lengths(source, spec, open_session(source))
    if accepted.whole_mask or not accepted.usable:
        raise InputError(
            f"{source}: {accepted.describe()}; import the checkpoint instead (`vampbench import`)"
        )
    if accepted.fixed is None:
        raise InputError(f"{source}: takes any length already; there is nothing to free")
    own = accepted.fixed
    try:
        model, rewriter = _freed(source, own)
    except Refused as error:
        raise InputError(
            f"{source}: its length {own} cannot be freed: {error}; import the checkpoint instead "
            "(`vampbench import`)"
        ) from error
    save_model(model, out)
    try:
        difference, tried = _verify(source, out, spec, own, rewriter.longest)
    except (InputError, PromiseMissed) as error:
        for file in (out, out.with_name(f"{out.name}.data")):
            file.unlink(missing_ok=True)
        raise PromiseMissed(f"{out}: {error}; it was removed") from error
    return Dynamic(out, own, rewriter.longest, tuple(rewriter.changes), difference, tried)


def _freed(source: Path, own: int) -> tuple[ir.Model, Rewriter]:
    model = load_model(source)
    try:
        raise_opset(model, OPSET)
    except CannotRaise as error:
        raise Refused(f"its opset cannot be raised to {OPSET}: {error}") from error
    if model.opset_imports.get("", 0) != OPSET:
        raise Refused(f"its opset {model.opset_imports.get('', 0)} is newer than {OPSET}")
    model.ir_version = IR_VERSION
    NameFixPass()(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    graph = model.graph
    timed = [v for v in graph.inputs if v.const_value is None and v.shape and len(v.shape) == 3]
    _declare(timed, model)
    other = _another(own)
    # Tables of positions are kept whole while all else that is constant is computed.
    _fold(model, lambda node: False if _looks_up(node) else None)
    tables = Rewriter(graph, TwoLengths(own, other), timed[0])
    tables.use_tables()
    _fold(model, None)
    rewriter = Rewriter(graph, TwoLengths(own, other), timed[0])
    rewriter.changes, rewriter.longest = tables.changes, tables.longest
    for value in graph.inputs:
        shape = value.shape or ir.Shape([])
        sizes = [d if isinstance(d, int) else 1 for d in shape]
        if value in timed:
            pair = ((*sizes[:2], own), (*sizes[:2], other))
        else:
            pair = (tuple(sizes), tuple(sizes))
        rewriter.lengths.shapes[value] = pair
    rewriter.walk()
    _declare_outputs(graph, rewriter.lengths)
    RemoveUnusedNodesPass()(model)
    ShapeInferencePass()(model)
    return model, rewriter


def _fold(model: ir.Model, should_fold: Callable[[ir.Node], bool | None] | None) -> None:
    options = {} if should_fold is None else {"should_fold": should_fold}
    fold_constants(
        model,
        onnx_shape_inference=False,
        input_size_limit=_FOLD_LIMIT,
        output_size_limit=_FOLD_LIMIT,
        **options,
    )
    IdentityEliminationPass()(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    RemoveUnusedNodesPass()(model)


def _looks_up(node: ir.Node) -> bool:
    return node.op_type in ("Gather", "Slice")


def _declare(timed: list[ir.Value], model: ir.Model) -> None:
    """Make the inputs' last axes dynamic and forget every shape that was inferred before."""
    for value in timed:
        assert value.shape is not None
        value.shape = ir.Shape([*value.shape[:2], "frames"])
    for node in model.graph.all_nodes():
        for output in node.outputs:
            output.shape = None


def _declare_outputs(graph: ir.Graph, lengths: TwoLengths) -> None:
    batch = graph.inputs[0].shape[0] if graph.inputs[0].shape else 1
    for value in graph.outputs:
        own, other = lengths.shape_of(value)
        dimensions: list[int | str] = []
        for axis, (a, b) in enumerate(zip(own, other, strict=True)):
            if a == b:
                is_batch = axis == 0 and a == 1 and not isinstance(batch, int)
                dimensions.append(str(batch) if is_batch else a)
            else:
                factor = a // lengths.own
                dimensions.append("frames" if factor == 1 else f"{factor}*frames")
        if own == other:
            raise Refused(f"its output {value.name} does not follow the length")
        value.shape = ir.Shape(dimensions)


def _another(own: int) -> int:
    """A prime below the own length: it shares no factor with the model's widths."""
    if own < 5:
        raise Refused(f"a length of {own} cannot be told from other sizes")
    return max(n for n in range(3, own) if all(n % d for d in range(2, n)))


def _verify(
    source: Path, out: Path, spec: ModelSpec, own: int, longest: int | None
) -> tuple[float, tuple[int, ...]]:
    before, after = open_session(source), open_session(out)
    difference = 0.0
    for seed in range(3):
        feed = probe_feed(spec, own, seed)
        theirs, ours = before.run(feed), after.run(feed)
        difference = max(difference, _difference(theirs, ours))
    if difference > _TOLERANCE:
        raise PromiseMissed(f"differs from its source by {difference:.2e} at length {own}")
    dynamic = open_artifact(out).spec
    tried = tuple(sorted({_another(own), min(2 * own + 3, longest or 2 * own + 3)} - {own}))
    for frames in tried:
        answers = after.run(probe_feed(dynamic, frames))
        for name, values in theirs.items():
            expected = [d // own * frames if d and d % own == 0 else d for d in values.shape]
            varies = [isinstance(d, str) and d != "batch" for d in dynamic.output(name).shape]
            wanted = [e if v else d for e, v, d in zip(expected, varies, values.shape, strict=True)]
            if list(answers[name].shape) != wanted:
                raise PromiseMissed(
                    f"answers {name} {list(answers[name].shape)} at length {frames}, not {wanted}"
                )
            if values.dtype.kind == "f" and not np.isfinite(answers[name]).all():
                raise PromiseMissed(f"{name} has NaN or infinite values at length {frames}")
    return difference, tried


def _difference(theirs: Feeds, ours: Feeds) -> float:
    """Of floats relative to the largest value; any unequal integer counts as infinite."""
    worst = 0.0
    for name, values in theirs.items():
        if values.shape != ours[name].shape:
            return float("inf")
        if values.dtype.kind == "f":
            scale = max(float(np.abs(values).max()), 1e-12)
            worst = max(worst, float(np.abs(values - ours[name]).max()) / scale)
        elif not np.array_equal(values, ours[name]):
            return float("inf")
    return worst
