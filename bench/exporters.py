"""Which fusions match in the exports of each PyTorch exporter: the table of docs/history.md.

`python -m bench.exporters` fuses the fixtures that tests/fixtures/exported/make_masked.py made and
writes the table again. No torch is needed.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from bench import ROOT
from optimize.fusions.order import Fusion, fuse
from optimize.recipes import FP16
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.repair.opset import raise_opset

_FIXTURES = ROOT / "tests" / "fixtures" / "exported"
_PAGE = ROOT / "docs" / "history.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
_FORMS = {
    "dynamic": "any length, LoRA beside the weights",
    "fixed": "one length, LoRA merged",
    "plain": "any length, no LoRA, padding mask as an input",
}


@dataclass(frozen=True)
class Export:
    """A fixture: its exporter, opset and form."""

    exporter: str
    opset: int
    form: str
    packed: Path

    def load(self) -> ir.Model:
        """The graph as it was exported."""
        with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
            path = Path(folder) / self.packed.stem
            path.write_bytes(gzip.decompress(self.packed.read_bytes()))
            return load_model(path)

    def fused(self) -> tuple[ir.Model, Fusion]:
        """The graph after the fusions that every recipe has."""
        model = self.load()
        raise_opset(model, FP16.opset)
        return model, fuse(model, FP16.form.rules)


def exports() -> Iterator[Export]:
    """The fixtures, by exporter, opset and form."""
    found = []
    for packed in _FIXTURES.glob("masked_*.onnx.gz"):
        _, exporter, opset, form = packed.name.removesuffix(".onnx.gz").split("_")
        found.append(Export(exporter, int(opset), form, packed))
    yield from sorted(found, key=lambda e: (list(_FORMS).index(e.form), e.exporter, e.opset))


def table(counts: dict[Export, dict[str, int]]) -> str:
    """Rows of exports, columns of the rules that matched in any."""
    rules = [
        rule.name for rule in FP16.form.rules if any(c.get(rule.name) for c in counts.values())
    ]
    lines = [
        f"| form | exporter | opset | {' | '.join(f'`{rule}`' for rule in rules)} |",
        f"|---|---|---|{'---|' * len(rules)}",
    ]
    for export, found in counts.items():
        cells = [str(found.get(rule) or "-") for rule in rules]
        name = {"classic": "TorchScript", "dynamo": "dynamo"}[export.exporter]
        lines.append(f"| {export.form} | {name} | {export.opset} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _main() -> None:
    """Write the table into its page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    counts = {export: export.fused()[1].counts for export in exports()}
    text = _PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    _PAGE.write_text(f"{before}{BEGIN}\n{table(counts)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    _main()
