from __future__ import annotations

from typing import Any

import pytest

from profiles.full_size import full_size_bytes
from profiles.report.charts.marks import marks_for
from profiles.report.tables import phones
from tests.profiles.report.example import results_of


@pytest.fixture
def published(results: dict[str, Any]) -> dict[str, Any]:
    """The run with sources of the published sizes."""
    for model in results["models"]:
        model["source_bytes"] = full_size_bytes(model["role"])
    return results


def test_packaging_tells_facts_from_estimates(published: dict[str, Any]) -> None:
    run = results_of(published)
    marks = marks_for(v.recipe for m in run.models for v in m.variants)
    table = phones.packaging_table(run, marks)
    assert table.columns[-3:] == ("android", "android-npu", "ios")
    rows = {r.name: r.cells for r in table.rows}
    assert rows["codec_encoder · fp16"][0].kind == "fact"
    assert rows["coarse · fused"][0].kind == "estimate"
    assert rows["coarse · int4-weights"][1].kind == "absent"
    assert "no kernel" in rows["coarse · int4-weights"][1].lines[0]
    assert rows["coarse · fused"][2].text == "all"


def test_limits_of_stores_are_not_said_of_small_models(results: dict[str, Any]) -> None:
    run = results_of(results)
    marks = marks_for(v.recipe for m in run.models for v in m.variants)
    table = phones.packaging_table(run, marks)
    assert table.columns == ("Compressed", "ORT format", "android", "android-npu", "ios")
    assert {len(row.cells) for row in table.rows} == {5}
    assert all("Google" not in line for r in table.rows for c in r.cells for line in c.lines)


def test_a_store_limit_that_is_exceeded_is_named(published: dict[str, Any]) -> None:
    stores = published["models"][0]["variants"][0]["profiles"]["mobile"]["stores"]
    stores[0]["fits"] = False
    run = results_of(published)
    cell = phones.packaging_table(run, marks_for(["fused"]) | marks_for([])).rows[0].cells[2]
    assert cell.text == "1 of 2"
    assert cell.lines == ("not Google Play base module (200\u00a0MB)",)


def test_device_times_are_estimates_with_sources(results: dict[str, Any]) -> None:
    run = results_of(results)
    marks = marks_for(v.recipe for m in run.models for v in m.variants)
    table = phones.device_table(run, marks)
    assert table.columns == ("Snapdragon 8 Gen 3", "A17 Pro")
    assert {c.kind for r in table.rows for c in r.cells} == {"estimate"}
    assert any("confidence medium" in line for line in phones.device_sources(run, marks))


def test_a_model_too_large_for_a_phone_says_so(results):
    profile = results["models"][0]["variants"][0]["profiles"]["mobile"]
    profile["devices"][0]["fits_memory"] = False
    run = results_of(results)
    recipes = [v["recipe"] for v in results["models"][0]["variants"]]
    table = phones.device_table(run, marks_for(recipes))
    told = [cell for row in table.rows for cell in row.cells if cell.lines]
    assert [cell.lines for cell in told] == [("does not fit in memory",)]


def test_refusals_are_counted_over_all_variants(results: dict[str, Any]) -> None:
    found = {r.runtime: r.lines for r in phones.refusals(results_of(results))}
    assert set(found) == {"cuda", "cpu", "nnapi"}
    assert found["cuda"] == ("Sin: no kernel <f32> (176\u00a0nodes)",)


def test_no_mobile_profile_no_tables(results: dict[str, Any]) -> None:
    for model in results["models"]:
        for variant in model["variants"]:
            variant["profiles"] = {}
    run = results_of(results)
    marks = marks_for(v.recipe for m in run.models for v in m.variants)
    assert phones.packaging_table(run, marks).rows == ()
    assert phones.device_table(run, marks).rows == ()
    assert phones.refusals(run) == ()
