"""Recipe + model + calibration -> variant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
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
from optimize.precision.contract import Conversion, RangeLike, Traits, traits_of
from optimize.probe import probe
from optimize.recipes import Recipe
from optimize.variant import Variant, read_record, record_path, write_record
from vampnet_models.errors import InputError, NotApplicable, PromiseMissed
from vampnet_models.onnxfile.artifact import (
    Artifact,
    load_model,
    open_artifact,
    save_model,
    staging_beside,
)
from vampnet_models.onnxfile.native import HOW, built_library
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN, WEIGHT_OPS
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

_PACKAGES = ("vampnet-workbench", "onnx", "onnxruntime", "onnx-ir", "onnxscript", "numpy")


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
        raise InputError(f"{recipe.name}: needs calibration feeds; give audio or --feeds")
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
    training = training_warning(model)
    interface, warnings = _prepared(model, source.path, recipe)
    warnings += [] if training is None else [training]
    fusion = fuse(model, recipe.form.rules) if recipe.fuse is None else recipe.fuse(model)
    warnings += _expectations(model, recipe, fusion, source.path)
    traits = traits_of(source.spec)
    if recipe.calibrate is not None and used is not None:
        with _fused(model, out) as fused:
            conversion = _applied(recipe.calibrate(model, fused, used.feeds, progress, traits))
    elif used is not None:
        conversion = _calibrated(model, recipe, traits, used, out, terms, progress)
    else:
        conversion = _convert(model, recipe, {}, traits)
    finish = finished(model, recipe.form.finish)
    warnings += _expectations(model, recipe, finish, source.path)
    custom = tuple(sorted({n.op_type for n in model.graph if n.domain == NATIVE_DOMAIN}))
    if portable is not None and custom:
        name_portable(model, portable)
    keep(model, interface, io=recipe.io)
    probed: list[Probe] = []

    def check(staged: Path) -> None:
        if check_load:
            feeds = () if calibration is None else calibration.feeds
            probed.append(_checked(source, recipe, staged, out, feeds, needs_library=bool(custom)))

    save_model(model, out, progress=progress, check=check)
    made = open_artifact(out)
    if made.bytes > source.bytes:
        warnings.append(f"{made.bytes} bytes: larger than the source with {source.bytes}")
    record = VariantRecord(
        recipe=recipe.name,
        role=source.role.value,
        model=out.name,
        bytes=made.bytes,
        sha256=made.sha256,
        source=SourceFacts(source.path.name, source.bytes, source.sha256),
        calibration=facts,
        versions=versions(),
        fusions={**fusion.counts, **finish.counts},
        unmatched=(*fusion.unmatched, *finish.unmatched),
        precision=conversion.precision,
        float_nodes=_as_finished(conversion.float_nodes, model.graph),
        mixed_nodes=conversion.mixed_nodes,
        warnings=(*warnings, *conversion.warnings),
        custom_operators=custom,
        portable=portable.name if portable is not None and custom else None,
        probe=probed[0] if probed else None,
    )
    write_record(record, record_path(out))
    return Variant(out, record)


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
    if recipe.observe is None or recipe.limits is None:
        return ()
    model = load_model(source.path)
    _prepared(model, source.path, recipe)
    fuse(model, recipe.form.rules)
    traits = traits_of(source.spec)
    axes = recipe.observe(model.graph, traits)
    with _fused(model, out) as fused:
        ranges = collect_channel_ranges(
            fused, calibration.feeds, axes, recipe.observer, terms=terms
        )
        limits = recipe.limits(model.graph, ranges, traits)
        return shares_outside(fused, feeds, limits, axes)


def check_memory(
    source: Artifact, recipe: Recipe, out: Path, longest: Feeds, max_memory_bytes: int
) -> None:
    """Raise InputError where calibrating on a feed of that size would not fit into the memory.

    For before the feeds are made: the calibration itself looks again, at what then is held.
    """
    if recipe.observe is None:
        return
    model = load_model(source.path)
    _prepared(model, source.path, recipe)
    fuse(model, recipe.form.rules)
    traits = traits_of(source.spec)
    axes = recipe.observe(model.graph, traits)
    later = moments_bytes({} if recipe.moments is None else recipe.moments(model.graph, traits))
    with _fused(model, out) as fused:
        predicted = predict(fused, longest, axes, recipe.observer, GROUP_BYTES, later)
    group_within(predicted, max_memory_bytes, GROUP_BYTES)


def _facts(recipe: Recipe, feeds: FeedSet) -> CalibrationFacts:
    return CalibrationFacts(
        sha256=feeds.sha256,
        n_feeds=len(feeds.feeds),
        audio=feeds.audio,
        upstream=feeds.upstream,
        observer=recipe.observer,
        settings=dict(recipe.settings),
        # As it will be read again: JSON has no tuples.
        coverage=json.loads(json.dumps(asdict(feeds.coverage()))),
    )


def versions() -> dict[str, str]:
    """Versions of the packages that decide what a variant is; `source` when not installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found


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


def _calibrated(
    model: ir.Model,
    recipe: Recipe,
    traits: Traits,
    feeds: FeedSet,
    out: Path,
    terms: Terms | None,
    progress: Progress | None,
) -> Conversion:
    """Convert with ranges of the fused float32 model, and with second moments where asked for."""
    assert recipe.observe is not None
    axes = recipe.observe(model.graph, traits)
    if not axes:
        return _convert(model, recipe, {}, traits)
    widths = {} if recipe.moments is None else recipe.moments(model.graph, traits)
    with _fused(model, out) as fused:
        ranges = collect_channel_ranges(
            fused,
            feeds.feeds,
            axes,
            recipe.observer,
            terms=terms,
            later_bytes=moments_bytes(widths),
            progress=progress,
        )
        if recipe.compensate is None or not widths:
            return _convert(model, recipe, ranges, traits)
        moments_of = partial(collect_moments, fused, feeds.feeds, progress=progress)
        return _applied(recipe.compensate(model, ranges, moments_of, fused.parent, traits))


@contextmanager
def _fused(model: ir.Model, out: Path) -> Iterator[Path]:
    """The fused float32 model as a file beside `out`, which is removed again."""
    with staging_beside(out) as staging:
        save_model(model, staging / "fused.onnx")
        yield staging / "fused.onnx"


def _convert(
    model: ir.Model, recipe: Recipe, ranges: Mapping[str, RangeLike], traits: Traits
) -> Conversion:
    if recipe.convert is None:
        n_weights = sum(1 for node in model.graph if node.op_type in WEIGHT_OPS)
        return Conversion({"float32": n_weights})
    return _applied(recipe.convert(model, ranges, traits))


def _applied(conversion: Conversion) -> Conversion:
    """The conversion; raises NotApplicable when it converted nothing."""
    if not set(conversion.precision) - {"float32"}:
        reasons = sorted({node.reason for node in conversion.float_nodes})
        detail = "; ".join(reasons[:3]) or "it has no MatMul or convolution with constant weights"
        raise NotApplicable(f"no node was converted: {detail}")
    return conversion


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
    *,
    needs_library: bool,
) -> Probe:
    """Open a variant that has no name yet in ONNX Runtime, and run it beside its source.

    Every operator finds its kernel; the runtime's own optimizations are left out and weights stay
    on disk, so that opening needs none of the memory that running the model takes. Raises
    PromiseMissed.
    """
    if needs_library and built_library() is None:
        return Probe(not_probed=f"the operator library that it needs is not here; {HOW}")
    try:
        open_session(staged, graph_optimization="disabled", config=_NO_PREPACKING)
        return probe(source, staged, recipe.probe_bound, feeds)
    except (InputError, PromiseMissed) as error:
        reason = str(error).replace(f"{staged}: ", "").replace(str(staged), str(out))
        raise PromiseMissed(f"{out}: {reason}; nothing was written") from error
