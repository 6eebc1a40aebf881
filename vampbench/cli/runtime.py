"""What a variant's record and the runtime's own graph say of it, in lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vampbench.cli.console import Console
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import FloatNode, MixedNode, VariantRecord
from vampnet_models.text import megabytes, percent

_TOLD_FROM_BYTES = 64 * 1024 * 1024
"""From this size on the disk that a check takes is worth a line."""


_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
"""A number that stands alone, no part of a name."""


def not_checked(path: Path) -> str:
    """That a variant's promise was not looked at yet, and the command that does."""
    command = f"vampbench inspect {shlex.quote(str(path))} --runtime"
    return f"not checked: `{command}` reads the runtime's own graph"


def tell(
    facts: RuntimeFacts, record: VariantRecord | None, console: Console, *, indent: str = ""
) -> None:
    """Print what the runtime made of a model, and of which variant it is."""
    # As in `vampbench.work.runtime`: where nothing was read back, no recipe is needed.
    from optimize.runtime.check import promised_share

    promised = record is not None and promised_share(record.recipe) is not None
    for name, text in _lines_of(facts, promised=promised):
        console.say(f"{indent}{name:<11} {text}" if indent else f"{name:<16} {text}")


def _lines_of(facts: RuntimeFacts, *, promised: bool) -> list[tuple[str, str]]:
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
    if facts.graph_bytes >= _TOLD_FROM_BYTES:
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
