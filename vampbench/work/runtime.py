"""What the runtime made of a variant: checked, judged, and told in lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optimize.precision.shared.plan import FloatNode, MixedNode
from optimize.runtime.check import missed_promise, promised_share, read_back, with_runtime
from optimize.runtime_facts import RuntimeFacts
from optimize.variant import VariantRecord, read_record, record_path
from vampbench.cli.boundary import contained
from vampbench.cli.console import Voice, megabytes, percent
from vampbench.work.workspace import Json
from vampnet_models.errors import WorkbenchError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import Feeds

_LARGE_BYTES = 64 * 1024 * 1024
"""From this size on the disk that a check takes is worth a line."""

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
"""A number that stands alone, no part of a name."""


def not_checked(path: Path) -> str:
    """That a variant's promise was not looked at yet, and the command that does."""
    command = f"vampbench inspect {shlex.quote(str(path))} --runtime"
    return f"not checked: `{command}` reads the runtime's own graph"


@dataclass(frozen=True)
class Checked:
    """A model, its record where it is a variant, and what the runtime made of it."""

    facts: RuntimeFacts
    record: VariantRecord | None
    missed: str | None


def check(artifact: Artifact, feeds: Feeds | None = None) -> Checked:
    """Read the runtime's graph of a model back; a variant's record is completed and judged.

    `feeds` give the shapes of a model of no known role. Raises InputError when that cannot be
    done: a damaged record, a folder that cannot be written.
    """
    shapes = None if feeds is None else {name: tuple(v.shape) for name, v in feeds.items()}
    record = record_beside(artifact.path)
    if record is None:
        return Checked(read_back(artifact, {}, shapes), None, None)
    record = with_runtime(artifact, record, shapes)
    assert record.runtime is not None
    return Checked(record.runtime, record, missed_promise(record))


def check_variants(variants: list[Json], root: Path, feeds: Feeds, voice: Voice) -> None:
    """Complete the records of a run's variants; one that breaks its promise is `missed`.

    A variant whose graph cannot be read back stays not checked, with a warning.
    """
    for variant in variants:
        if variant["status"] not in ("ok", "missed"):
            continue
        path = root / variant["path"]
        try:
            with contained(), voice.task(f"{path.stem}: reading back {variant['recipe']}"):
                found = check(open_artifact(path), feeds)
        except WorkbenchError as error:
            voice.warn(f"{path.stem}: {variant['recipe']}: the runtime was not checked: {error}")
            continue
        assert found.record is not None
        variant["record"] = asdict(found.record)
        if found.missed is not None:
            voice.warn(f"{path.stem}: {found.missed}")
            reasons = filter(None, (variant["reason"], found.missed))
            variant["status"], variant["reason"] = "missed", "; ".join(reasons)


def record_beside(model: Path) -> VariantRecord | None:
    """The record of a variant; None where none lies beside the model."""
    path = record_path(model)
    return read_record(path) if path.is_file() else None


def tell(
    facts: RuntimeFacts, record: VariantRecord | None, voice: Voice, *, indent: str = ""
) -> None:
    """Print what the runtime made of a model, and of which variant it is."""
    promised = record is not None and promised_share(record.recipe) is not None
    for name, text in lines_of(facts, promised=promised):
        voice.say(f"{indent}{name:<11} {text}" if indent else f"{name:<16} {text}")


def lines_of(facts: RuntimeFacts, *, promised: bool) -> list[tuple[str, str]]:
    """Label and text, a pair per line; `promised` marks what breaks a promise of integers."""
    total = facts.integer_flops + facts.float_flops
    lines = [("runtime", f"onnxruntime {facts.onnxruntime}, {facts.provider}")]
    if facts.integer_share is not None:
        kernels = _counted(facts.kernels) or "no such kernel"
        share = percent(facts.integer_share)
        lines.append(("integer", f"{share} of the MatMul and Conv FLOPs: {kernels}"))
    for group in facts.float_kernels:
        share = f" ({percent(group.flops / total)})" if total else ""
        said = " [no listed exclusion]" if promised and not group.listed else ""
        text = f"{len(group.nodes)} {group.op_type}{share}: {group.reason}{said}"
        lines.append(("float", text))
    if facts.attention:
        share = percent(facts.attention_flops / max(1, total + facts.attention_flops))
        text = f"{_counted(facts.attention)}: two activations multiplied, in float"
        lines.append(("attention", f"{text} ({share} of these FLOPs and its own)"))
    became = _dequantized_text(asdict(facts.dequantized))
    if became:
        lines.append(("dequantize", became))
    if facts.upcast.nodes:
        text = (
            f"{facts.upcast.nodes} float16 nodes run in float32, {facts.upcast.casts} Casts added"
        )
        lines.append(("upcast", text))
    stored, loaded = megabytes(facts.weights_bytes), megabytes(facts.runtime_weights_bytes)
    lines.append(("constants", f"{stored} in the file, {loaded} in the runtime's graph"))
    for what, names in (("not mapped", facts.unmapped), ("not weighed", facts.unresolved)):
        if names:
            lines.append((what, f"{len(names)} kernels, first {names[0]}"))
    if facts.graph_bytes >= _LARGE_BYTES:
        lines.append(("disk", f"the check took {megabytes(facts.graph_bytes)} for a moment"))
    return lines


def _counted(kernels: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {op_type}" for op_type, n in kernels.items())


def _dequantized_text(counts: Mapping[str, Any]) -> str:
    """What became of DequantizeLinear; empty when there was none."""
    parts = (
        ("in_kernels", "weights went into integer kernels"),
        ("each_run", "weights are unpacked in every run"),
        ("folded", f"weights were unpacked at load ({megabytes(counts['folded_bytes'])})"),
        ("unmapped", "weights could not be found again"),
        ("activations", "stay between nodes"),
    )
    return ", ".join(f"{counts[key]} {text}" for key, text in parts if counts[key])


def float_lines(nodes: Iterable[FloatNode]) -> list[str]:
    """`41 SimplifiedLayerNormalization: the reason`, the most frequent first.

    Reasons that differ in their numbers alone are one line with the span of each.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        alike.setdefault((node.op_type, _NUMBER.sub("#", node.reason)), []).append(node.reason)
    ranked = sorted(alike.items(), key=lambda item: -len(item[1]))
    return [f"{len(each)} {op_type}: {_spanned(each)}" for (op_type, _), each in ranked]


def mixed_lines(nodes: Iterable[MixedNode]) -> list[str]:
    """`3 MatMul int8-dynamic: the reason` of nodes that got another precision, as `float_lines`."""
    return float_lines(
        FloatNode(node.node, f"{node.op_type} {node.precision}", node.reason) for node in nodes
    )


def _spanned(reasons: Sequence[str]) -> str:
    """One reason for several that differ in their numbers: `a table of 1 to 32 KiB`."""
    columns = zip(*(_NUMBER.findall(reason) for reason in reasons), strict=True)
    spans = [sorted(set(column), key=float) for column in columns]
    said = iter(s[0] if len(s) == 1 else f"{s[0]} to {s[-1]}" for s in spans)
    return _NUMBER.sub(lambda _found: next(said), reasons[0])
