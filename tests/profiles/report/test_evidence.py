from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from profiles.report.render import render_report
from profiles.report.tables.evidence import evidence_table, missing_evidence
from tests.profiles.report.example import results_of
from vampnet_models.errors import InputError

COMPILED = {
    "kind": "compiled",
    "soc": "Snapdragon 8 Gen 3",
    "input_shapes": {"codes": [1, 4, 64]},
    "nodes": 203,
    "supported": 200,
    "node_share": 200 / 203,
    "flops": 1_000_000,
    "flops_share": 0.97,
    "partitions": 2,
    "qnn_operators": 300,
    "context_bytes": 4_000_000,
    "compile_s": 1.0,
    "refusals": [],
    "unnamed": 0,
    "emulated": {
        "measure": "tokens",
        "to_reference": 0.988,
        "to_variant": 0.99,
        "variant_to_reference": 0.9906,
        "n_positions": 2019,
        "states": 4,
        "seconds": [1.0],
    },
    "not_emulated": None,
}
EMULATED = {
    "kind": "emulated",
    "model": "coarse",
    "recipe": "fp16",
    "sha256": "0" * 64,
    "measure": "tokens",
    "bit_equal": False,
    "arm_to_x86": 0.999,
    "arm_to_reference": 0.95,
    "x86_to_reference": 0.96,
    "n_positions": 1920,
    "frames": 48,
    "states": 4,
    "emulation_s": [1.0],
}
IMPORTED = {
    "kind": "imported",
    "evidence": "measured on that device, imported",
    "model": "coarse",
    "device": "Pixel 9",
    "tool": "onnxruntime_perf_test",
    "source": "coarse.csv",
    "source_sha256": "0" * 64,
    "samples_s": [],
    "runs": None,
    "first_run_s": None,
    "session_s": None,
    "peak_rss_bytes": None,
    "median_s": 0.012,
    "p10_s": 0.011,
    "p90_s": 0.014,
}


def write(folder: Path) -> None:
    failed = {"kind": "failed", "reason": "it did not compile"}
    files = {
        "qnn.json": {
            "command": "vampbench qnn",
            "host": {},
            "variants": {"coarse/npu-a16w8": COMPILED, "c2f/source": failed},
        },
        "arm64.json": {
            "command": "python -m bench.machines.arm64",
            "weights": "trained",
            "qemu": "10.0",
            "emulated_cpu": "cortex-a76",
            "versions": {},
            "host": {},
            "records": {"coarse/fp16": EMULATED},
        },
        "imported.json": {"records": [IMPORTED]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


def test_each_row_says_of_which_level_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    rows = {row.name: row for row in evidence_table(tmp_path).rows}
    levels = {name: row.cells[0].text for name, row in rows.items() if row.cells}
    assert levels == {
        "coarse/npu-a16w8": "compiled, emulated",
        "coarse/fp16": "emulated",
        "coarse": "measured on that device, imported",
    }
    assert rows["c2f/source"].reason == "it did not compile"
    assert rows["coarse/npu-a16w8"].cells[3].lines[1].startswith("2,019")
    kinds = {row.cells[4].kind for row in rows.values() if row.cells}
    assert kinds == {"absent", "measurement"}
    assert missing_evidence(tmp_path) == ()


def test_what_is_missing_says_how_to_get_it(results: dict[str, Any], tmp_path: Path) -> None:
    assert evidence_table(tmp_path).rows == ()
    assert [line.split(":")[0] for line in missing_evidence(tmp_path)] == ["not measured"] * 3
    assert "vampbench import-profile FILE" in render_report(results_of(results), tmp_path)
    write(tmp_path)
    html = render_report(results_of(results), tmp_path)
    assert "Pixel 9" in html
    assert "vampbench import-profile FILE" not in html


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "qnn.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"qnn\.json: a: no such field; remove it, or write it"):
        evidence_table(tmp_path)


@pytest.mark.parametrize("name", ["qnn", "arm64"])
def test_what_the_benchmarks_keep_is_read(name: str, tmp_path: Path) -> None:
    kept = Path(__file__).resolve().parents[3] / "bench" / "results" / f"{name}.json"
    (tmp_path / kept.name).write_bytes(kept.read_bytes())
    rows = evidence_table(tmp_path).rows
    assert {row.status for row in rows} == {"ok"}
    assert {
        f"{model}/fused" if name == "arm64" else f"{model}/npu-a16w8"
        for model in ("coarse", "c2f", "codec_encoder", "codec_decoder")
    } <= {row.name for row in rows}
