import json
from dataclasses import replace
from pathlib import Path

import pytest

from optimize.variant import read_record, record_path, write_record
from vampnet_models.errors import InputError
from vampnet_models.records.generic import VARIANT, versioned
from vampnet_models.records.runtime_facts import Dequantized, FloatKernels, RuntimeFacts, Upcast
from vampnet_models.records.variant import (
    CalibrationFacts,
    FloatNode,
    MixedNode,
    SourceFacts,
    Unmatched,
    VariantRecord,
)

RECORD = VariantRecord(
    recipe="int8-static",
    role="coarse",
    model="coarse.onnx",
    bytes=7,
    sha256="ab",
    source=SourceFacts("coarse.onnx", 9, "cd"),
    calibration=CalibrationFacts("ef", 3, "builtin"),
    versions={"onnx": "1"},
    fusions={"snake": 2},
    unmatched=(Unmatched("snake", "sin", "no square"),),
    precision={"int8": 3},
    float_nodes=(FloatNode("a", "Conv", "first"),),
    mixed_nodes=(MixedNode("b", "Conv", "int8", "no blocks"),),
    warnings=("larger",),
)


FACTS = RuntimeFacts(
    provider="CPUExecutionProvider",
    onnxruntime="1",
    shapes={"x": (1, 2)},
    integer_share=0.5,
    integer_flops=2,
    float_flops=2,
    attention_flops=1,
    kernels={"QLinearConv": 1},
    attention={"MultiHeadAttention": 1},
    float_kernels=(FloatKernels("Conv", "first", True, 2, ("a",)),),
    dequantized=Dequantized(1, 2, 3, 4, 5, 6),
    upcast=Upcast(7, 8),
    weights_bytes=9,
    runtime_weights_bytes=10,
    unmapped=("b",),
    unresolved=("c",),
    graph_bytes=11,
)


@pytest.mark.parametrize(
    "record",
    [RECORD, replace(RECORD, calibration=None), replace(RECORD, runtime=FACTS)],
)
def test_a_record_survives_its_file(record: VariantRecord, tmp_path: Path) -> None:
    path = record_path(tmp_path / "coarse.onnx")
    assert path.name == "coarse.variant.json"
    write_record(record, path)
    assert read_record(path) == record
    written = json.loads(path.read_text())
    assert next(iter(written)) == "schema"
    assert written["runtime_checked"] is False
    assert written["float_nodes"] == [{"node": "a", "op_type": "Conv", "reason": "first"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no readable variant record"),
        ('{"schema": 99}', "schema 99; this version reads 1 or 2; build it again"),
        ('{"schema": 1}', "recipe: is missing; build it again"),
        ("[]", "is no variant record"),
    ],
)
def test_a_damaged_record_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.variant.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_record(path)


def test_a_record_of_the_first_schema_counts_as_not_checked(tmp_path: Path) -> None:
    old = versioned(RECORD, VARIANT) | {"schema": 1}
    del old["runtime"]
    path = tmp_path / "x.variant.json"
    path.write_text(json.dumps(old))
    found = read_record(path)
    assert found == RECORD
    assert (found.runtime_checked, found.runtime) == (False, None)


def test_a_missing_record_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable variant record"):
        read_record(tmp_path / "x.variant.json")
