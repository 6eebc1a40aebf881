"""Does a variant really run that way? The runtime's own graph against what was recorded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import onnx_ir as ir

from optimize.precision.weights.weight_only import INT8_COMPUTE
from optimize.recipes import EVERY_RECIPE, NATIVE_RECIPES, RECIPES
from optimize.runtime.kernels import (
    Origins,
    plain_name,
    runtime_graph,
    stored_weight,
)
from optimize.variant import record_path, write_record
from vampnet_models.chain.typical import typical_shapes
from vampnet_models.errors import InputError
from vampnet_models.native import library
from vampnet_models.onnxfile.artifact import Artifact, load_model, weights_bytes
from vampnet_models.onnxfile.operators import (
    ATTENTION_OPS,
    FLOAT_PRODUCT_OPS,
    MOVING_OPS,
    NBITS,
    PRODUCT_OPS,
    VIEW_OPS,
)
from vampnet_models.onnxfile.session import CPU
from vampnet_models.records.runtime_facts import Dequantized, FloatKernels, RuntimeFacts, Upcast
from vampnet_models.records.variant import VariantRecord
from vampnet_models.shapes.flops import flops_of
from vampnet_models.shapes.tensor_shapes import Shape, Shapes, infer_shapes
from vampnet_models.spec import Role

_HALF = ir.DataType.FLOAT16
_WIDE_STORAGE = frozenset({ir.DataType.INT16, ir.DataType.UINT16})

_MIXED_NAMES = ("int8", "int6", "int4")


def with_runtime(
    artifact: Artifact, record: VariantRecord, shapes: Mapping[str, Shape] | None = None
) -> VariantRecord:
    """The record of a variant, completed by what the runtime made of it, and written.

    A record that was completed with the same onnxruntime is given back as it is. Raises
    InputError when the record is of another file, and as `read_back` does.
    """
    if record.sha256 != artifact.sha256:
        raise InputError(
            f"{artifact.path}: its record {record_path(artifact.path).name} describes another "
            "file; build the variant again"
        )
    known = record.runtime
    if record.custom_operators and library.built_library() is None:
        raise InputError(f"{artifact.path}: the operator library is not here; {library.how()}")
    if known is not None and known.onnxruntime == version("onnxruntime"):
        return record
    reasons = {node.node: node.reason for node in record.float_nodes}
    # A node of another precision has its own name, or that with the precision behind it.
    reasons |= {node.node: node.reason for node in record.mixed_nodes}
    reasons |= {f"{n.node}/{bits}": n.reason for n in record.mixed_nodes for bits in _MIXED_NAMES}
    facts = read_back(artifact, reasons, shapes)
    completed = replace(record, runtime=facts, runtime_checked=True)
    write_record(completed, record_path(artifact.path))
    return completed


def read_back(
    artifact: Artifact,
    listed: Mapping[str, str],
    shapes: Mapping[str, Shape] | None = None,
    config: Mapping[str, str] | None = None,
) -> RuntimeFacts:
    """What ONNX Runtime's CPU provider makes of a model.

    `listed` gives the reason of each node that was left in float on purpose, by name. FLOPs are
    weighed at the usual shapes of a known role, at `shapes` for other models. `config` holds
    session configuration entries. Raises InputError when the model does not load, or when the
    graph cannot be written beside it.
    """
    if shapes is None or artifact.role is not Role.GENERIC:
        shapes = typical_shapes(artifact.spec)
    variant = load_model(artifact.path)
    with runtime_graph(artifact, config) as found:
        graph, tensors = found.model.graph, infer_shapes(found.model, shapes)
        origins = Origins(variant.graph)
        kernels = [
            _kernel(node, origins, listed, tensors)
            for node in graph
            if node.op_type in PRODUCT_OPS | ATTENTION_OPS
        ]
        products = [k for k in kernels if k.node.op_type in PRODUCT_OPS]
        attentions = [k for k in kernels if k.node.op_type in ATTENTION_OPS]
        in_integers = sum(k.flops or 0 for k in products if k.reason is None)
        in_float = sum(k.flops or 0 for k in products if k.reason is not None)
        total = in_integers + in_float
        return RuntimeFacts(
            provider=CPU[0],
            onnxruntime=version("onnxruntime"),
            shapes=dict(shapes),
            integer_share=in_integers / total if total else None,
            integer_flops=in_integers,
            float_flops=in_float,
            attention_flops=sum(k.flops or 0 for k in attentions),
            kernels=_counts(k for k in products if k.node.op_type not in FLOAT_PRODUCT_OPS),
            attention=_counts(attentions),
            float_kernels=_grouped(k for k in products if k.reason is not None),
            dequantized=_dequantized(variant.graph, graph),
            upcast=_upcast(variant.graph, graph),
            weights_bytes=weights_bytes(variant),
            runtime_weights_bytes=weights_bytes(found.model),
            unmapped=tuple(k.name for k in products if k.origin is None),
            unresolved=tuple(k.name for k in kernels if k.flops is None),
            graph_bytes=found.bytes,
        )


def promised_share(recipe: str) -> float | None:
    """The share of MatMul and Conv FLOPs that a recipe promises in integer kernels, if any.

    A recipe with settings of its own, or of another tool, promises what its name begins with:
    `int8-static-mse-s8`, `int8-static-neural-compressor-...`.
    """
    known = (*RECIPES, *NATIVE_RECIPES)
    begun = [each for each in known if f"{recipe}-".startswith(f"{each.name}-")]
    return max(begun, key=lambda each: len(each.name)).integer_share if begun else None


def missed_share(record: VariantRecord) -> str | None:
    """How a variant takes more of its source's bytes than was promised, if it does.

    A share of a user's own stands in the record: `int4-mixed-0.18` promises that.
    """
    taken, source = record.bytes, record.source.bytes
    for each in EVERY_RECIPE:
        if each.share is None or not f"{record.recipe}-".startswith(f"{each.name}-"):
            continue
        share = _share_in(record) or each.share
        if not replace(each, share=share).keeps_share(taken, source):
            promise = f"{record.recipe} promises {100 * share:g}% of the source's bytes"
            return f"{promise}: it takes {taken / source:.1%}"
    return None


def _share_in(record: VariantRecord) -> float | None:
    settings = {} if record.calibration is None else record.calibration.settings
    try:
        return float(settings["share"])
    except (KeyError, ValueError):
        return None


def missed_promise(record: VariantRecord) -> str | None:
    """Why the file or the runtime's graph is not what the variant's name says; None when both are.

    Raises ValueError when the runtime was not checked.
    """
    facts = record.runtime
    if facts is None:
        raise ValueError(f"{record.model}: the runtime was not checked")
    larger = missed_share(record)
    if larger is not None:
        return larger
    promised = promised_share(record.recipe)
    share, unlisted = facts.integer_share, facts.unlisted
    if promised is None or not unlisted:
        return None
    if share is not None and share >= promised and not facts.unresolved:
        return None
    first = unlisted[0]
    found = "an unknown share" if share is None else f"{share:.1%}"
    n_kernels = sum(len(group.nodes) for group in unlisted)
    return (
        f"{record.recipe} promises {promised:.0%} of the MatMul and Conv FLOPs in integer kernels "
        f"or a listed reason for each that is not: the runtime has {found}, and {n_kernels} "
        f"kernels in float without one, first {first.op_type} {first.nodes[0]}: {first.reason}"
    )


@dataclass(frozen=True)
class _Kernel:
    """A kernel of the optimized graph; `reason` says why it computes in float, if it does."""

    node: ir.Node
    origin: ir.Node | None
    flops: int | None
    reason: str | None
    listed: bool

    @property
    def name(self) -> str:
        """The name that the variant's graph has for it, or else the runtime's."""
        return (self.node if self.origin is None else self.origin).name or self.node.op_type


def _kernel(node: ir.Node, origins: Origins, listed: Mapping[str, str], shapes: Shapes) -> _Kernel:
    origin = origins.of(node)
    flops = _flops(node, shapes)
    if not _is_float(node):
        return _Kernel(node, origin, flops, None, False)
    known = listed.get((origin or node).name or "")
    reason = known or _why_float(node, origin)
    return _Kernel(node, origin, flops, reason, known is not None)


def _is_float(node: ir.Node) -> bool:
    if node.op_type == NBITS:
        level = node.attributes.get("accuracy_level")
        return level is None or level.as_int() != INT8_COMPUTE
    return node.op_type in FLOAT_PRODUCT_OPS


def _flops(node: ir.Node, shapes: Shapes) -> int | None:
    names = [
        [v.name for v in side if v is not None and v.name] for side in (node.inputs, node.outputs)
    ]
    inputs, outputs = ([shapes.tensors.get(name) for name in side] for side in names)
    known = [[t.shape for t in side if t is not None] for side in (inputs, outputs)]
    if len(known[0]) < len(inputs) or len(known[1]) < len(outputs):
        return None
    return flops_of(node.op_type, *known)


def _why_float(node: ir.Node, origin: ir.Node | None) -> str:
    """Why a product is in float where no recipe said so, read off the graphs."""
    if node.op_type == NBITS:
        return "its weights are integers, its arithmetic float (accuracy level 0)"
    if node.op_type == "Bfloat16Product":
        return "bfloat16, with sums in float32"
    data, weight = node.inputs[0], node.inputs[1]
    quantized_data, quantized_weight = _dequantize(data), _dequantize(weight)
    if quantized_data is not None and quantized_weight is not None:
        return _why_not_fused(node, quantized_data)
    if quantized_weight is not None:
        return "its weights alone are integers: unpacked to float32 in every run"
    before = origin.inputs[1] if origin is not None and len(origin.inputs) > 1 else None
    if _dequantize(before) is not None:
        return "its integer weights were unpacked to float32 at load"
    if before is not None and before.dtype == _HALF:
        return "float16, which this provider computes in float32"
    if stored_weight(data) is None and stored_weight(weight) is None:
        return "both operands are activations"
    return "the model itself holds it in float"


def _why_not_fused(node: ir.Node, dequantize: ir.Node) -> str:
    """Why the runtime left DequantizeLinear and QuantizeLinear around a product."""
    stored = dequantize.inputs[0]
    dtype = stored.dtype if stored is not None else None
    if node.op_type == "ConvTranspose":
        return "the runtime has no integer kernel for ConvTranspose"
    if dtype in _WIDE_STORAGE:
        return "16-bit activations: the runtime has no kernel for them"
    if dtype == ir.DataType.INT8:
        return "signed 8-bit activations, which the runtime could not turn into unsigned ones"
    readers = [user.op_type for user, _ in node.outputs[0].uses()]
    if node.op_type == "Conv" and readers != ["QuantizeLinear"]:
        return "its output is not quantized, as an integer convolution needs it"
    return "the runtime left it between DequantizeLinear and QuantizeLinear"


def _dequantize(value: ir.Value | None) -> ir.Node | None:
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None


def _grouped(kernels: Iterable[_Kernel]) -> tuple[FloatKernels, ...]:
    """Float kernels by operator and reason, the most arithmetic first."""
    groups: dict[tuple[str, str, bool], list[_Kernel]] = defaultdict(list)
    for kernel in kernels:
        groups[kernel.node.op_type, kernel.reason or "", kernel.listed].append(kernel)
    made = [
        FloatKernels(*key, sum(k.flops or 0 for k in members), tuple(k.name for k in members))
        for key, members in groups.items()
    ]
    return tuple(sorted(made, key=lambda group: -group.flops))


def _counts(kernels: Iterable[_Kernel]) -> dict[str, int]:
    return dict(Counter(kernel.node.op_type for kernel in kernels).most_common())


def _dequantized(variant: ir.Graph, optimized: ir.Graph) -> Dequantized:
    counts: Counter[str] = Counter()
    folded_bytes = 0
    constants = {plain_name(name): value for name, value in optimized.initializers.items()}
    for node in variant:
        stored = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        if stored is None or not stored.is_initializer():
            continue
        kept = constants.get(stored.name or "")
        folded = constants.get(node.outputs[0].name or "")
        if kept is not None and kept.uses():
            readers = {user.op_type for user, _ in kept.uses()}
            counts["each_run" if "DequantizeLinear" in readers else "in_kernels"] += 1
        elif folded is not None and folded.const_value is not None:
            counts["folded"] += 1
            folded_bytes += folded.const_value.nbytes
        else:
            counts["unmapped"] += 1
    left = sum(
        1
        for node in optimized
        if node.op_type == "DequantizeLinear"
        and node.inputs[0] is not None
        and not node.inputs[0].is_initializer()
    )
    return Dequantized(
        in_kernels=counts["in_kernels"],
        each_run=counts["each_run"],
        folded=counts["folded"],
        folded_bytes=folded_bytes,
        unmapped=counts["unmapped"],
        activations=left,
    )


def _upcast(variant: ir.Graph, optimized: ir.Graph) -> Upcast:
    before, after = _half_nodes(variant), _half_nodes(optimized)
    casts = {node.name for node in variant if node.op_type == "Cast"}
    inserted = [n for n in optimized if n.op_type == "Cast" and n.name not in casts]
    return Upcast(nodes=max(0, before - after), casts=len(inserted) if before > after else 0)


def _half_nodes(graph: ir.Graph) -> int:
    """The nodes that compute in float16; moving values about is no arithmetic."""
    return sum(
        1
        for node in graph
        if node.op_type not in VIEW_OPS | MOVING_OPS and any(v.dtype == _HALF for v in node.outputs)
    )
