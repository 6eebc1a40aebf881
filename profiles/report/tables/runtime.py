"""Whether each variant really runs as its name says: what the runtime's own graph holds."""

from __future__ import annotations

from dataclasses import asdict

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, fact, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.choices import recipes_of
from profiles.report.views.units import bytes_text, count_text, percent_text, plural
from vampnet_models.records.results import Results, Variant
from vampnet_models.records.runtime_facts import RuntimeFacts

_NOT_CHECKED = "not checked"
_COLUMNS = (
    "Integer FLOPs",
    "In float, and why",
    "Attention, in float",
    "DequantizeLinear",
    "float16 run as float32",
    "Constants, file and runtime",
)


def runtime_table(run: Results, marks: dict[str, Mark]) -> Table:
    """A row per variant that was made; without rows when none was."""
    rows = [
        Row(f"{m.name} · {v.recipe}", marks[v.recipe].icon, v.status, "", _cells(v))
        for m in run.models
        for v in m.variants
        if v.usable
    ]
    return Table(_COLUMNS, tuple(rows))


def runtime_lines(run: Results) -> tuple[str, ...]:
    """A sentence per recipe over all models: its integer arithmetic, its float16 run as float32."""
    lines = []
    for recipe in recipes_of(run):
        variants = [v for m in run.models for v in m.variants if v.recipe == recipe and v.usable]
        found = [v.runtime for v in variants if v.runtime is not None]
        shares = [r.integer_share for r in found if r.integer_share is not None]
        said = []
        if shares and max(shares) > 0:
            ends = dict.fromkeys(percent_text(s) for s in (min(shares), max(shares)))
            said.append(f"{' to '.join(ends)} of each model's arithmetic in integer kernels")
        elif shares:
            said.append("all arithmetic in float")
        upcast = sum(r.upcast.nodes for r in found)
        if upcast:
            said.append(f"{plural(upcast, 'node')} in float16 computed as float32")
        missing = len(variants) - len(found)
        if missing:
            said.append(f"{plural(missing, 'model')} {_NOT_CHECKED}")
        if said:
            lines.append(f"{recipe}: {'; '.join(said)}")
    return tuple(lines)


def _cells(variant: Variant) -> tuple[Cell, ...]:
    found = variant.runtime
    if found is None:
        return tuple(absent(_NOT_CHECKED) for _ in _COLUMNS)
    return (
        fact(found.integer_share, percent_text, (_counted(found.kernels) or "no such kernel",)),
        _floats(found),
        words(_counted(found.attention) or "none"),
        _dequantized(found),
        fact(found.upcast.nodes, lambda n: plural(int(n), "node")),
        Cell(
            f"{_bytes(found.weights_bytes)}, {_bytes(found.runtime_weights_bytes)}",
            "fact",
            found.runtime_weights_bytes,
        ),
    )


def _floats(found: RuntimeFacts) -> Cell:
    """Kernels in float by reason, with their share of the MatMul and Conv FLOPs."""
    total = (found.integer_flops or 0) + (found.float_flops or 0)
    lines = []
    for group in found.float_kernels:
        share = f", {percent_text(group.flops / total)}" if total and group.flops else ""
        lines.append(f"{count_text(len(group.nodes))} {group.op_type}{share}: {group.reason}")
    if found.unresolved:
        lines.append(
            f"{plural(len(found.unresolved), 'kernel')} of unknown shape, not in the share"
        )
    n_kernels = sum(len(group.nodes) for group in found.float_kernels)
    return fact(n_kernels, lambda n: plural(int(n), "kernel"), tuple(lines))


def _dequantized(found: RuntimeFacts) -> Cell:
    """What became of DequantizeLinear: in kernels, run each time, unpacked at load, left."""
    said = {
        "in_kernels": "weights in integer kernels",
        "each_run": "weights unpacked in every run",
        "folded": "weights unpacked at load",
        "unmapped": "weights not found again",
        "activations": "between nodes",
    }
    counts = asdict(found.dequantized)
    lines = tuple(f"{count_text(counts[k])} {text}" for k, text in said.items() if counts.get(k))
    return Cell(lines[0], "fact", lines[0], lines[1:]) if lines else words("none")


def _counted(kernels: dict[str, int]) -> str:
    return ", ".join(f"{count_text(n)} {op_type}" for op_type, n in kernels.items())


def _bytes(value: float | None) -> str:
    return "not recorded" if value is None else bytes_text(value)
