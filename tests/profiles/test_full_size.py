from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.full_size import RECORD, bytes_by_role
from docs.cells import Json
from docs.kept import kept
from optimize.build import build_variant
from optimize.recipes import RECIPES, find_recipe
from profiles.full_size import SOURCE, TABLE, full_size_bytes, full_size_total_bytes
from vampnet_models.architectures.parameter_shapes import codec_shapes, transformer_shapes
from vampnet_models.architectures.seeded import SeededTensors
from vampnet_models.architectures.synth import find_preset
from vampnet_models.architectures.transformer import build_transformer
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.spec import CHAIN_ROLES

NEAR = 0.03
SINCE_THE_RUN = {("codec-decoder", "int8-static"): 0.703}
"""What was made lighter after the run: today's bytes over the run's. A new run empties it."""


@pytest.fixture(scope="module")
def run() -> Json:
    """The run of all four full-size models that the pages quote: files of another process."""
    return kept("full-size")


def test_every_recipe_of_the_run_weighs_what_the_table_says(run: Json) -> None:
    compared = 0
    for model in run["models"]:
        assert full_size_bytes(model["role"]) == pytest.approx(model["source_bytes"], rel=NEAR)
        for variant in model["variants"]:
            known = full_size_bytes(model["role"], variant["recipe"])
            share = SINCE_THE_RUN.get((model["role"], variant["recipe"]), 1)
            assert known == pytest.approx(share * variant["bytes"], rel=NEAR), variant["recipe"]
            compared += 1
    assert compared == 4 * 6
    assert full_size_total_bytes() == pytest.approx(run["source_bytes"], rel=NEAR)


def test_every_set_of_the_run_is_the_sum_of_its_parts(run: Json) -> None:
    for each in run["sets"]:
        sizes = [
            (full_size_bytes(*part) or 0) / SINCE_THE_RUN.get(part, 1)
            for part in each["parts"].items()
        ]
        assert sum(sizes) == pytest.approx(each["bytes"], rel=NEAR), each["name"]


def test_the_packaged_table_is_the_benchs() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert json.loads(TABLE.read_text(encoding="utf-8")) == bytes_by_role(record)
    tried = {(row["role"], row["recipe"]) for row in record["rows"]}
    wanted = [SOURCE, *(recipe.name for recipe in RECIPES)]
    assert {(role.value, name) for role in CHAIN_ROLES for name in wanted} <= tried


def test_what_was_not_written_has_no_size() -> None:
    assert full_size_bytes("coarse", "tuned-0123abcd") is None
    assert full_size_bytes("generic") is None


def test_making_what_calibrates_nothing_takes_half_a_gigabyte() -> None:
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"]
    free = [row for row in rows if row.get("calibrated") is False]
    assert len(free) > 4 * 4
    assert max(row["peak_rss_bytes"] for row in free) <= 0.5e9


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["fp16", "int8-dynamic", "int8-weights", "int4-weights"])
def test_todays_recipes_still_write_as_many_bytes(tmp_path: Path, recipe: str) -> None:
    preset = find_preset("vampnet")
    codec = SeededTensors(codec_shapes(preset.codec), 0)
    written = []
    for n_layers in (1, 2):
        config = replace(preset.coarse, n_layers=n_layers)
        tensors = SeededTensors(transformer_shapes(config), 1, depth=n_layers)
        source = tmp_path / f"coarse-{n_layers}.onnx"
        save_model(build_transformer(config, Ledger(tensors), Ledger(codec), "seeded"), source)
        out = tmp_path / f"made-{n_layers}.onnx"
        chosen = find_recipe(recipe)
        written.append(build_variant(open_artifact(source), chosen, out, check_load=False))
    one, two = (variant.record.bytes for variant in written)
    whole = one + (preset.coarse.n_layers - 1) * (two - one)
    assert full_size_bytes("coarse", recipe) == pytest.approx(whole, rel=NEAR)
