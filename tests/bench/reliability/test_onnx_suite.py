"""The onnx package's own cases through every recipe: a sample, and what makes rows and counts."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import onnx
import pytest

from bench.reliability.judge import BOUNDS
from bench.reliability.onnx_cases import FORMS, KINDS, Case, load_cases, with_constants
from bench.reliability.onnx_suite import _RECIPE_NAMES, code_key, read_rows, run, unfinished
from bench.reliability.onnx_suite_case import (
    _SMALLEST,
    FAULTS,
    NOT_APPLICABLE,
    OUTCOMES,
    REFUSED,
    RIGHT,
    SOURCE,
    TRACEBACK,
    UNRUNNABLE,
    WRONG,
    Row,
    rows_of,
)
from bench.reliability.onnx_suite_results import (
    DOCS,
    RESULTS,
    counted,
    kind_of,
    section,
    with_section,
)
from bench.reliability.real_models import key_of

SAMPLE = 60
SHARES = {"node": 48, "simple": 2, "pytorch-converted": 6, "pytorch-operator": 4}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(load_cases())


@pytest.fixture(scope="module")
def sample(cases: list[Case]) -> list[Case]:
    """Drawn over the kinds; node cases of many operators, most of them with constants."""
    rng = random.Random(17)
    chosen: list[Case] = []
    for kind, n in SHARES.items():
        some = [case for case in cases if case.kind == kind]
        chosen += rng.sample(some, n)
    return chosen


@pytest.fixture(autouse=True)
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in _SMALLEST:
        monkeypatch.setattr(module, name, 1)


def faults(some: list[Case]) -> list[Row]:
    rows = [row for case in some for row in rows_of(case, _RECIPE_NAMES)]
    assert {row.outcome for row in rows} >= {RIGHT, NOT_APPLICABLE}
    return [row for row in rows if row.outcome in FAULTS and row.recipe != SOURCE]


def test_a_sample_has_no_fault(sample: list[Case]) -> None:
    assert len(sample) == SAMPLE
    assert faults(sample[::4]) == []


@pytest.mark.long
@pytest.mark.exact_products  # judged without optimizations too, where nothing makes sums exact
def test_the_rest_of_the_sample_has_no_fault(sample: list[Case]) -> None:
    assert faults([case for i, case in enumerate(sample) if i % 4]) == []


def test_cases_come_in_two_forms(cases: list[Case]) -> None:
    assert {case.kind for case in cases} == set(KINDS)
    assert {case.form for case in cases} == set(FORMS)
    given, constant = (
        next(c for c in cases if c.name == "test_gemm_all_attributes" and c.form == form)
        for form in FORMS
    )
    assert list(given.feeds[0]) == ["a", "b", "c"]
    assert list(constant.feeds[0]) == ["a"]
    stored = {t.name: t for t in onnx.load_from_string(constant.model).graph.initializer}
    assert sorted(stored) == ["b", "c"]
    assert np.array_equal(onnx.numpy_helper.to_array(stored["b"]), given.feeds[0]["b"])


def test_initializers_listed_as_inputs_are_no_longer_in_the_second_form(
    cases: list[Case],
) -> None:
    case = next(c for c in cases if c.name == "test_Conv1d" and c.form == "inputs")
    assert len(onnx.load_from_string(case.model).graph.input) == 3
    constant = with_constants(case)
    assert constant is not None
    assert len(onnx.load_from_string(constant.model).graph.input) == 1


def small(name: str = "test_relu") -> Case:
    return next(c for c in load_cases(("node",)) if c.name == name)


def test_exceptions_are_tracebacks_and_wrong_files_are_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = small()

    def fails(case: Case, recipe: str, source: Path, out: Path) -> None:
        if recipe == "fused":
            raise KeyError("x")
        out.write_bytes(source.read_bytes() if recipe == "fp16" else small("test_neg").model)

    monkeypatch.setattr("bench.reliability.onnx_suite_case.convert", fails)
    rows = {row.recipe: row for row in rows_of(case, ("fused", "fp16", "int8-dynamic"))}
    assert rows[SOURCE].outcome == RIGHT
    assert rows["fused"].outcome == TRACEBACK
    assert rows["fused"].detail == "KeyError in test_onnx_suite.py:fails: 'x'"
    assert rows["fp16"].outcome == RIGHT
    assert rows["int8-dynamic"].outcome == WRONG


def test_what_the_runtime_does_not_run_is_not_converted() -> None:
    rows = list(rows_of(small("test_adam"), _RECIPE_NAMES))
    assert [(row.recipe, row.outcome) for row in rows] == [(SOURCE, UNRUNNABLE)]
    assert "Adam" in rows[0].detail


def dies(case: Case, recipes: tuple[str, ...], sender: Connection) -> None:
    """Ends by a signal at the first recipe of three; the others are done by another process."""
    if len(recipes) == 3:
        sender.send(Row(case.kind, case.name, case.form, SOURCE, RIGHT))
        os.kill(os.getpid(), signal.SIGKILL)
    for recipe in recipes:
        sender.send(Row(case.kind, case.name, case.form, recipe, RIGHT))
    sender.close()


def test_a_process_that_dies_is_a_row_and_the_other_recipes_go_on() -> None:
    context = multiprocessing.get_context("forkserver")
    rows = list(run([(small(), ("fused", "fp16", "int8-dynamic"))], 1, context, dies))
    assert [(row.recipe, row.outcome) for row in rows] == [
        (SOURCE, RIGHT),
        ("fused", TRACEBACK),
        ("fp16", RIGHT),
        ("int8-dynamic", RIGHT),
    ]
    assert rows[1].detail == "the process died of SIGKILL"


def test_only_what_has_no_row_of_this_code_is_run(tmp_path: Path) -> None:
    case, kept = small(), tmp_path / "rows.jsonl"
    row = Row(case.kind, case.name, case.form, "fused", RIGHT)
    lines = [json.dumps({"key": key, **vars(row)}) for key in ("old", "new")]
    kept.write_text("\n".join([*lines, '{"key": "new", "ki']), encoding="utf-8")
    assert read_rows(kept, "new") == [row]
    assert read_rows(kept) == [row, row]
    assert list(unfinished([case], [row], ("fused", "fp16"))) == [(case, ("fp16",))]
    not_run = Row(case.kind, case.name, case.form, SOURCE, UNRUNNABLE)
    assert list(unfinished([case], [not_run], ("fused", "fp16"))) == []
    assert len(code_key()) == 16


def test_the_key_of_rows_holds_the_code_that_judges_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read.append(p.as_posix()) or whole(p))
    code_key()
    key_of("onnxruntime x", Path(__file__))
    ends = {"/optimize/build.py", "/reliability/onnx_cases.py", "/reliability/real_tasks.py"}
    assert {end for end in ends if any(path.endswith(end) for path in read)} == ends


def test_rows_are_counted_and_reasons_gathered() -> None:
    rows = [
        Row("node", "test_a", "inputs", SOURCE, RIGHT),
        Row("node", "test_b", "inputs", SOURCE, UNRUNNABLE, "no kernel"),
        Row("node", "test_a", "inputs", "fused", RIGHT),
        Row("node", "test_a", "inputs", "fp16", REFUSED, "m.onnx: opset 7 is too old"),
        Row("simple", "test_c", "constants", SOURCE, WRONG),
        Row("simple", "test_c", "constants", "fp16", REFUSED, "m.onnx: opset 8 is too old"),
        Row("simple", "test_c", "constants", "fused", WRONG, "an error of 2"),
    ]
    found = counted(rows, "abc", ("fused", "fp16"))
    assert found["cases"]["node"]["inputs"] == {"published": 2, "run": 1, "as published": 1}
    assert found["cases"]["simple"]["constants"] == {"published": 1, "run": 1, "as published": 0}
    assert found["recipes"]["fp16"]["all"][REFUSED] == 2
    assert found["recipes"]["fused"]["simple"] == {
        outcome: int(outcome == WRONG) for outcome in OUTCOMES
    }
    assert found["reasons"][REFUSED] == {"opset N is too old": 2}
    assert found["faults"] == [["test_c", "constants", "fused", WRONG, "an error of 2"]]
    assert kind_of("m.onnx: scale 1.5e") == "scale Ne"


def test_the_section_is_put_once() -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    page = with_section("# Reliability\n\n## After\n\nmore\n", content)
    assert page.startswith("# Reliability\n\n## After\n\nmore\n\n## The onnx package")
    assert with_section(page, content) == page
    middle = page.replace("## After\n\nmore\n\n", "") + "\n## Last\n\nend\n"
    assert with_section(middle, content) == middle


def test_results_cover_every_case_and_recipe_and_the_page_says_them(cases: list[Case]) -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert content["bounds"] == BOUNDS
    assert content["faults"] == []
    for kind, forms in content["cases"].items():
        for form, counts in forms.items():
            of_this = [c for c in cases if (c.kind, c.form) == (kind, form)]
            assert counts["published"] == len(of_this)
    run_in_all = sum(c["run"] for forms in content["cases"].values() for c in forms.values())
    assert run_in_all > 2_000
    assert tuple(content["recipes"]) == _RECIPE_NAMES
    for counts in content["recipes"].values():
        assert sum(counts["all"].values()) == run_in_all
        assert [counts["all"][outcome] for outcome in FAULTS] == [0, 0, 0]
        assert counts["all"] == {o: sum(counts[kind][o] for kind in KINDS) for o in OUTCOMES}
    assert section(content) in DOCS.read_text(encoding="utf-8")
