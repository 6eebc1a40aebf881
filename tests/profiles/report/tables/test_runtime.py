from typing import Any

from profiles.report.charts.marks import marks_for
from profiles.report.tables.runtime import _COLUMNS, runtime_lines, runtime_table
from profiles.report.tables.table import Row
from profiles.report.views.choices import recipes_of
from tests.profiles.report.example import results_of


def rows_of(results: dict[str, Any]) -> dict[str, Row]:
    run = results_of(results)
    return {row.name: row for row in runtime_table(run, marks_for(recipes_of(run))).rows}


def record_of(results: dict[str, Any], recipe: str) -> dict[str, Any]:
    (found,) = (v for v in results["models"][0]["variants"] if v["recipe"] == recipe)
    record: dict[str, Any] = found["record"]
    return record


HALF = {"integer_share": 0.5, "upcast": {"nodes": 0, "casts": 0}}


def test_each_variant_says_how_it_runs(results: dict[str, Any]) -> None:
    rows = rows_of(results)
    usable = [v for m in results_of(results).models for v in m.variants if v.usable]
    assert len(rows) == len(usable) > 0
    name = results["models"][0]["name"]
    integer, floats, attention, weights, upcast, constants = rows[f"{name} · int8-static"].cells
    assert (integer.text, integer.order) == ("96.2\u00a0%", 0.9625)
    assert integer.lines == ("21 MatMulIntegerToFloat, 1 MatMulNBits",)
    assert floats.text == "2\u00a0kernels"
    assert floats.lines == ("2 Conv, 3.75\u00a0%: the <first> convolution: reads the waveform",)
    assert attention.text == "5 MultiHeadAttention"
    assert weights.text == "21 weights in integer kernels"
    assert weights.lines == ("2 weights unpacked in every run", "4 between nodes")
    assert upcast.text == "0\u00a0nodes"
    assert constants.text == "2.21\u00a0MB, 2.23\u00a0MB"


def test_each_recipe_is_summed_up_in_a_line(results: dict[str, Any]) -> None:
    runtime = record_of(results, "int8-static")["runtime"]
    runtime["upcast"] = {"nodes": 3, "casts": 6}
    for model in results["models"][1:]:
        for variant in model["variants"]:
            if variant["recipe"] == "int8-static" and variant["record"]:
                variant["record"]["runtime"] = runtime | {
                    "integer_share": 0.5,
                    "upcast": {"nodes": 0, "casts": 0},
                }
    lines = [line.replace("\u00a0", " ") for line in runtime_lines(results_of(results))]
    said = dict(line.split(": ", 1) for line in lines)
    assert said["int8-static"].startswith("50.0 % to 96.2 % of each model's arithmetic in integer")
    assert "3 nodes in float16 computed as float32" in said["int8-static"]
    assert said["fp16"] == "4 models not checked"


def test_a_variant_whose_graph_was_not_read_says_so(results: dict[str, Any]) -> None:
    name = results["models"][0]["name"]
    row = rows_of(results)[f"{name} · fp16"]
    assert [(c.text, c.kind) for c in row.cells] == [("not checked", "absent")] * len(_COLUMNS)
    del record_of(results, "fp16")["runtime"]
    assert rows_of(results)[f"{name} · fp16"] == row


def test_kernels_that_were_not_weighed_are_said(results: dict[str, Any]) -> None:
    runtime = record_of(results, "int8-static")["runtime"]
    runtime["unresolved"] = ["a"]
    runtime["integer_share"] = None
    name = results["models"][0]["name"]
    integer, floats, *_ = rows_of(results)[f"{name} · int8-static"].cells
    assert integer.kind == "absent"
    assert floats.lines[-1] == "1\u00a0kernel of unknown shape, not in the share"


def test_only_what_was_made_has_a_row(results: dict[str, Any]) -> None:
    before = rows_of(results)
    results["models"][0]["variants"][0]["status"] = "failed"
    assert len(rows_of(results)) == len(before) - 1
