"""Exports with a padding mask: what matches stands in docs, and the logits stay."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from bench.exporters import _PAGE, BEGIN, END, Export, exports, table
from optimize.fusions.order import Fusion
from optimize.precision.fp16.convert import Float16
from optimize.surgery.graph import Array
from tests.optimize.graphs import convert, ops
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.repair.training_mode import training_nodes

ALL = tuple(exports())
NEWEST = [each for each in ALL if (each.exporter, each.opset) in (("classic", 20), ("dynamo", 23))]


@cache
def fused(export: Export) -> tuple[ir.Model, Fusion]:
    """Once for all tests, which leave it as it is."""
    return export.fused()


def name(export: Export) -> str:
    return f"{export.exporter}-{export.opset}-{export.form}"


def feeds(export: Export, batch: int, length: int) -> dict[str, Array]:
    """Random codes; of the first row no frame counts where the padding mask is an input."""
    rng = np.random.default_rng(length)
    made: dict[str, Array] = {
        "codes": rng.integers(0, 16, (batch, 4, length)),
        "mask": rng.integers(0, 2, (batch, 4, length)),
    }
    if export.form == "plain":
        made["keep"] = rng.integers(0, 2, (batch, length)).astype(bool)
        made["keep"][0] = False
    return made


def test_the_table_of_exporters_is_what_the_fusions_do() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    counts = {export: fused(export)[1].counts for export in ALL}
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table(counts)
    assert len(ALL) == 18


@pytest.mark.parametrize("export", ALL, ids=name)
def test_every_attention_is_fused_and_the_logits_stay(export: Export, tmp_path: Path) -> None:
    model, _ = fused(export)
    assert training_nodes(model) == []
    assert ops(model)["MultiHeadAttention"] == 2
    before, after = sessions(tmp_path, export.load(), model)
    for batch, length in [(2, 12)] if export.form == "fixed" else [(1, 5), (3, 40)]:
        given = feeds(export, batch, length)
        expected, logits = (each.run(given)["logits"] for each in (before, after))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("export", NEWEST, ids=name)
def test_float16_takes_masks_and_rows_without_anything_to_see(
    export: Export, tmp_path: Path
) -> None:
    model, _ = export.fused()
    convert(model, Float16(emulated=True))
    before, after = sessions(tmp_path, export.load(), model)
    given = feeds(export, 2, 12)
    expected, logits = (each.run(given)["logits"] for each in (before, after))
    assert np.isfinite(logits).all()
    # With nothing to attend to, the first row's weights may be any.
    seen = slice(1 if export.form == "plain" else 0, None)
    assert np.abs(logits - expected)[seen].max() < 0.05


def sessions(folder: Path, *models: ir.Model) -> list[Session]:
    opened = []
    for index, each in enumerate(models):
        save_model(each, folder / f"{index}.onnx")
        opened.append(open_session(folder / f"{index}.onnx", threads=1))
    return opened
