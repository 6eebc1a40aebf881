"""Recipe + model + calibration -> variant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import onnx_ir as ir

from calibration.feeds.feedset import FeedSet
from calibration.ranges.collect import (
    GROUP_BYTES,
    Terms,
    collect_channel_ranges,
    collect_moments,
    moments_bytes,
)
from calibration.ranges.memory import group_within, predict
from calibration.ranges.outside import Outside, shares_outside
from optimize.blame import blaming_the_source
from optimize.fusions.order import Fusion, finished, fuse
from optimize.interface import (
    Interface,
    interface_of,
    keep,
    make_constants_of_inputs,
    repeated_node_names,
    warnings_on,
)
from optimize.origin import check_origin
from optimize.precision.contract import Conversion, Evidence, Float32, Needs, Plan, traits_of
from optimize.precision.exact import ask_for_exact_products
from optimize.probe import probe
from optimize.recipes import Recipe
from optimize.surgery.stand_ins import restore
from optimize.variant import Variant, read_record, record_path, versions, write_record
from vampnet_models.errors import InputError, NotApplicable, PromiseMissed
from vampnet_models.family import FAMILY_KEY, family_text
from vampnet_models.native.library import HOW, built_library
from vampnet_models.onnxfile.artifact import (
    Artifact,
    load_model,
    open_artifact,
    save_model,
    staging_beside,
)
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN
from vampnet_models.onnxfile.portable import name_portable
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.progress import Progress
from vampnet_models.records.variant import (
    CalibrationFacts,
    FloatNode,
    Probe,
    SourceFacts,
    VariantRecord,
)
from vampnet_models.repair.opset import raise_opset
from vampnet_models.repair.opset_adapters import CannotRaise
from vampnet_models.repair.training_mode import training_warning
from vampnet_models.spec import ROLE_KEY

_NO_PREPACKING = {"session.disable_prepacking": "1"}
"""The runtime otherwise copies each MatMul's weights into a layout of its own."""


@blaming_the_source
def build_variant(
    source: Artifact,
    recipe: Recipe,
    out: Path,
    *,
    calibration: FeedSet | None = None,
    terms: Terms | None = None,
    check_load: bool = True,
    portable: Path | None = None,
    progress: Progress | None = None,
) -> Variant:
    """Make the variant `out` of a model and write its record beside it.

    A variant that is there already, made of the same source by the same recipe, calibration and
    versions, and unchanged since, is reused, unless the recipe is not `reusable`. `terms` are those
    of its calibration. `check_load` opens it in ONNX Runtime and runs it once beside its source,
    on a feed of `calibration` or a random one, before it gets its name. `portable` is the model
    beside `out` to open in place of one whose operators are not there (a native recipe's).

    Raises NotApplicable when the recipe has nothing to do; InputError when the source cannot be
    read or was converted before in a way that the recipe does not take, `out` cannot be written or
    calibration is missing; PromiseMissed when an expected fusion did not happen, when inputs or
    outputs would not be the source's, or when the result does not load or answers something else.
    """
    if recipe.needs_calibration and calibration is None:
        raise InputError(f"{recipe.name}: needs data to calibrate on; give recordings or feeds")
    if out.resolve() in [file.resolve() for file in source.files]:
        raise InputError(f"{out}: is the source itself; choose another output")
    used = calibration if recipe.needs_calibration else None
    facts = None if used is None else _facts(recipe, used)
    if recipe.is_native and (portable is None or portable.parent.resolve() != out.parent.resolve()):
        raise InputError(f"{recipe.name}: needs its portable model beside {out}")
    # A calibration file that the user named is looked at, even where nothing needs it.
    named = terms is not None and terms.store is not None and terms.store.given
    reusable = recipe.reusable and not named
    existing = _reusable(source, recipe, out, facts) if reusable else None
    if existing is not None:
        return existing
    model = load_model(source.path)
    check_origin(model, source, as_exported=recipe.as_exported)
    record_path(out).unlink(missing_ok=True)
    made = _convert(model, source, recipe, out, used, terms, progress)
    if portable is not None and made.custom:
        name_portable(model, portable)
    probed: list[Probe] = []

    def check(staged: Path) -> None:
        if check_load:
            feeds = () if calibration is None else calibration.feeds
            probed.append(_checked(source, recipe, staged, out, feeds, made.custom))

    save_model(model, out, progress=progress, check=check)
    record = _record(source, recipe, open_artifact(out), made)
    record = replace(record, calibration=facts, probe=probed[0] if probed else None)
    if portable is not None and made.custom:
        record = replace(record, portable=portable.name)
    write_record(record, record_path(out))
    return Variant(out, record)


@dataclass(frozen=True)
class _Made:
    """What became of a model: by rules before and after its precision, and by that.

    `custom` are the operators of the optional library that it needs now, `saturates` the record's.
    """

    fusions: tuple[Fusion, Fusion]
    conversion: Conversion
    warnings: tuple[str, ...]
    custom: tuple[str, ...]
    saturates: bool


def _convert(
    model: ir.Model,
    source: Artifact,
    recipe: Recipe,
    out: Path,
    feeds: FeedSet | None,
    terms: Terms | None,
    progress: Progress | None,
) -> _Made:
    """Follow the recipe in place, from the source's graph to that of the variant."""
    training = training_warning(model)
    interface, warnings = _prepared(model, source.path, recipe)
    warnings += [] if training is None else [training]
    fusion = fuse(model, recipe.form.rules) if recipe.fuse is None else recipe.fuse(model)
    warnings += _expectations(model, recipe, fusion, source.path)
    given = feeds is not None and feeds.is_given
    plan = recipe.precision.plan(model.graph, traits_of(source.spec, given=given))
    with _evidence(model, recipe, plan, out, feeds, terms, progress) as evidence:
        conversion = recipe.precision.apply(model, plan, evidence)
    _check_converted(recipe, conversion, model.graph)
    restore(model)
    finish = finished(model, recipe.form.finish)
    saturates = ask_for_exact_products(model)
    warnings += _expectations(model, recipe, finish, source.path)
    keep(model, interface, io=recipe.io)
    if source.spec.family is not None:
        model.metadata_props[FAMILY_KEY] = family_text(source.spec.family)
    conversion = replace(conversion, float_nodes=_as_finished(conversion.float_nodes, model.graph))
    custom = tuple(sorted({n.op_type for n in model.graph if n.domain == NATIVE_DOMAIN}))
    warnings += [*conversion.warnings, *conversion.not_as_named(recipe.name)]
    return _Made((fusion, finish), conversion, tuple(warnings), custom, saturates)


def _record(source: Artifact, recipe: Recipe, artifact: Artifact, made: _Made) -> VariantRecord:
    """What is recorded of every variant."""
    fusion, finish = made.fusions
    warnings = (*made.warnings, *recipe.size_warnings(artifact.bytes, source.bytes))
    return VariantRecord(
        recipe=recipe.name,
        role=source.role.value,
        model=artifact.path.name,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        source=SourceFacts(source.path.name, source.bytes, source.sha256),
        calibration=None,
        versions=versions(),
        fusions={**fusion.counts, **finish.counts},
        unmatched=(*fusion.unmatched, *finish.unmatched),
        precision=made.conversion.precision,
        float_nodes=made.conversion.float_nodes,
        mixed_nodes=made.conversion.mixed_nodes,
        warnings=warnings,
        custom_operators=made.custom,
        saturates=made.saturates,
    )


def outside_ranges(
    source: Artifact,
    recipe: Recipe,
    out: Path,
    calibration: FeedSet,
    feeds: Sequence[Feeds],
    terms: Terms | None = None,
) -> tuple[Outside, ...]:
    """The tensors of the model of which `feeds` have values outside what its quantizers cover.

    With the store that `out` was built with, nothing is calibrated again. Raises InputError as
    `build_variant` does.
    """
    if Needs.RANGES not in recipe.precision.needs:
        return ()
    model, plan = _planned(source, recipe, given=calibration.is_given)
    with _fused(model, out) as fused:
        ranges = collect_channel_ranges(
            fused, calibration.feeds, plan.ranges, recipe.observer, terms=terms
        )
        limits = recipe.precision.apply(model, plan, Evidence(ranges)).limits
        return shares_outside(fused, feeds, limits, plan.ranges)


def check_memory(
    source: Artifact, recipe: Recipe, out: Path, longest: Feeds, max_memory_bytes: int
) -> None:
    """Raise InputError where calibrating on a feed of that size would not fit into the memory.

    For before the feeds are made: the calibration itself looks again, at what then is held.
    """
    if Needs.RANGES not in recipe.precision.needs:
        return
    model, plan = _planned(source, recipe)
    later = moments_bytes(plan.moments)
    with _fused(model, out) as fused:
        predicted = predict(fused, longest, plan.ranges, recipe.observer, GROUP_BYTES, later)
    group_within(predicted, max_memory_bytes, GROUP_BYTES)


def _planned(source: Artifact, recipe: Recipe, *, given: bool = False) -> tuple[ir.Model, Plan]:
    """The fused model, and what the recipe's precision would do to it."""
    model = load_model(source.path)
    _prepared(model, source.path, recipe)
    fuse(model, recipe.form.rules)
    return model, recipe.precision.plan(model.graph, traits_of(source.spec, given=given))


def _facts(recipe: Recipe, feeds: FeedSet) -> CalibrationFacts:
    return CalibrationFacts(
        sha256=feeds.sha256,
        n_feeds=len(feeds.feeds),
        audio=feeds.audio,
        upstream=feeds.upstream,
        observer=recipe.observer,
        settings=dict(recipe.precision.settings),
        coverage=feeds.coverage(),
        samples_sha256=feeds.samples_sha256 if feeds.is_given else (),
    )


def _reusable(
    source: Artifact, recipe: Recipe, out: Path, calibration: CalibrationFacts | None
) -> Variant | None:
    """The variant that is there, when building it again would give the same."""
    try:
        record = read_record(record_path(out))
        made = open_artifact(out)
    except InputError:
        return None
    same = (
        record.recipe == recipe.name
        and record.source.sha256 == source.sha256
        and record.calibration == calibration
        and record.versions == versions()
        and record.sha256 == made.sha256
        # A rate that a user told stands in no source's hash, but in what was made.
        and made.spec.family == source.spec.family
    )
    return Variant(out, record, reused=True) if same else None


def _prepared(model: ir.Model, path: Path, recipe: Recipe) -> tuple[Interface, list[str]]:
    """Bring a model to the recipe's opset in place: its interface as it was, and warnings.

    Raises InputError where a node has no form in that opset.
    """
    warnings = warnings_on(make_constants_of_inputs(model), repeated_node_names(model))
    interface, opset = interface_of(model), model.graph.opset_imports.get("", 0)
    try:
        raise_opset(model, recipe.opset)
    except CannotRaise as reason:
        raise InputError(
            f"{path}: its opset {opset} cannot be raised to {recipe.opset}: {reason}; export it "
            f"with opset {recipe.opset}"
        ) from reason
    return interface, warnings


def _expectations(model: ir.Model, recipe: Recipe, fusion: Fusion, path: Path) -> list[str]:
    """Warnings about candidates that stayed; PromiseMissed on the graphs that we know."""
    missed = [each for each in fusion.unmatched if each.rule in recipe.expect]
    lines = [f"{each.rule} left {each.node}: {each.reason}" for each in missed]
    if lines and ROLE_KEY in model.metadata_props:
        raise PromiseMissed(
            f"{path}: {len(lines)} of the fusions that {recipe.name} promises did not match, "
            f"first: {lines[0]}; see `vampbench fuse --explain`"
        )
    return [*fusion.warnings, *lines]


@contextmanager
def _evidence(
    model: ir.Model,
    recipe: Recipe,
    plan: Plan,
    out: Path,
    feeds: FeedSet | None,
    terms: Terms | None,
    progress: Progress | None,
) -> Iterator[Evidence]:
    """What the plan asks for, of the fused float32 model; second moments are taken when read."""
    given = () if feeds is None else feeds.feeds
    if not plan.ranges and not plan.moments:
        yield Evidence(feeds=given)
        return
    with _fused(model, out) as fused:
        ranges = (
            collect_channel_ranges(
                fused,
                given,
                plan.ranges,
                recipe.observer,
                terms=terms,
                later_bytes=moments_bytes(plan.moments),
                progress=progress,
            )
            if plan.ranges
            else {}
        )
        moments_of = partial(collect_moments, fused, given, progress=progress)
        yield Evidence(ranges, moments_of if plan.moments else None, given, fused.parent, fused)


@contextmanager
def _fused(model: ir.Model, out: Path) -> Iterator[Path]:
    """The fused float32 model as a file beside `out`, which is removed again."""
    with staging_beside(out) as staging:
        save_model(model, staging / "fused.onnx")
        yield staging / "fused.onnx"


def _check_converted(recipe: Recipe, conversion: Conversion, graph: ir.Graph) -> None:
    """Raise NotApplicable where a precision converted nothing."""
    if isinstance(recipe.precision, Float32) or set(conversion.precision) - {"float32"}:
        return
    reasons = sorted({node.reason for node in conversion.float_nodes})
    detail = "; ".join(reasons[:3]) or "it has no MatMul or convolution with constant weights"
    halves = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    if not reasons and any(each.dtype in halves for each in graph.initializers.values()):
        detail = "its weights are in 16 bits already; convert from the FP32 model"
    raise NotApplicable(f"no node was converted: {detail}")


def _as_finished(nodes: Iterable[FloatNode], graph: ir.Graph) -> tuple[FloatNode, ...]:
    """The nodes left in float by the names and operators that the finishing rules gave them."""
    names = {node.name or "": node.op_type for node in graph}

    def now(node: FloatNode) -> FloatNode:
        if node.node in names:
            return node
        found = next((name for name in names if name.startswith(f"{node.node}/")), None)
        return node if found is None else replace(node, node=found, op_type=names[found])

    return tuple(now(node) for node in nodes)


def _checked(
    source: Artifact,
    recipe: Recipe,
    staged: Path,
    out: Path,
    feeds: Sequence[Feeds],
    custom: Sequence[str],
) -> Probe:
    """Open a variant that has no name yet in ONNX Runtime, and run it beside its source.

    Every operator finds its kernel; the runtime's own optimizations are left out and weights stay
    on disk, so that opening needs none of the memory that running the model takes. Raises
    PromiseMissed.
    """
    if custom and built_library() is None:
        return Probe(not_probed=f"the operator library that it needs is not here; {HOW}")
    try:
        open_session(staged, graph_optimization="disabled", config=_NO_PREPACKING)
        return probe(source, staged, recipe.probe_bound, feeds)
    except (InputError, PromiseMissed) as error:
        reason = str(error).replace(f"{staged}: ", "").replace(str(staged), str(out))
        raise PromiseMissed(f"{out}: {reason}; nothing was written") from error
