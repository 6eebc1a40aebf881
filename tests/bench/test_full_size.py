"""The files of every recipe, on one small product."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.full_size import keep, rows
from tests.bench.test_convert import small
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact


def test_each_recipe_is_made_measured_and_removed(tmp_path: Path) -> None:
    source = open_artifact(small(tmp_path / "small.onnx"))
    before = sorted(tmp_path.iterdir())
    fp32, int8 = rows(source, ["int8-weights"], tmp_path / "no-feeds.npz", tmp_path)
    assert (fp32["recipe"], fp32["bytes"]) == ("source", source.bytes)
    assert 256 * 256 <= int8["bytes"] < source.bytes / 2
    assert int8["peak_rss_bytes"] > 10e6 and int8["calibrated"] is False
    assert sorted(tmp_path.iterdir()) == before


def test_a_recipe_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    source = open_artifact(small(tmp_path / "small.onnx"))
    with pytest.raises(InputError, match=r"small: int8-static: .*no-feeds\.npz"):
        list(rows(source, ["int8-static"], tmp_path / "no-feeds.npz", tmp_path))


def test_a_row_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    record, table = tmp_path / "record.json", tmp_path / "table.json"
    row = {"model": "coarse", "role": "coarse", "recipe": "fp16", "bytes": 7}
    nothing = row | {"recipe": "fused"}
    nothing.pop("bytes")
    for each in (row, nothing | {"not_applicable": "nothing to do"}, row | {"bytes": 8}):
        keep(each, record, table)
    assert json.loads(table.read_text()) == {"coarse": {"fp16": 8}}
    assert [r["recipe"] for r in json.loads(record.read_text())["rows"]] == ["fp16", "fused"]
