"""Sentences of the pages follow the kept records, and say no more than these do."""

from __future__ import annotations

import copy

import pytest

from docs.cells import Json
from docs.kept import all_kept
from docs.pages import README
from docs.sentences import GOALS, made


@pytest.fixture
def runs() -> dict[str, Json]:
    return all_kept()


def _variant(run: Json, model: str, recipe: str) -> Json:
    (found,) = (m for m in run["models"] if m["name"] == model)
    return next(v for v in found["variants"] if v["recipe"] == recipe)


@pytest.mark.parametrize("name", ["loss-near-ties", "loss-mixtures", "speed-goals", "npu-codec"])
def test_other_figures_make_other_sentences(name: str, runs: dict[str, Json]) -> None:
    other = copy.deepcopy(runs)
    static = _variant(other["recordings"], "coarse", "int8-static")
    static["accuracy"]["near_ties"]["agreement_excluding"] = 0.5
    static["bytes"] += 1_000_000
    other["latency"]["cases"]["coarse-100"]["summary"]["int8-dynamic"]["speedup"] = 9.0
    other["qnn"]["variants"]["codec_decoder/npu-fp16"]["emulated"]["to_reference"] = 99.0
    assert dict(made(runs))[name] != dict(made(other))[name]


def test_sets_for_phones_follow_the_demo(runs: dict[str, Json]) -> None:
    other = copy.deepcopy(runs)
    other["demo"]["totals"]["fp16"] = 123_000_000
    assert "123.00 MB" in dict(made(other))["phone-sets"]
    assert "Google Play's base module 200.00 MB" in dict(made(runs))["phone-sets"]


def test_goals_are_missed_where_the_page_says_so(runs: dict[str, Json]) -> None:
    cases = runs["latency"]["cases"]
    for what, asked, frames, variants in GOALS:
        reached = max(cases[f"coarse-{frames}"]["summary"][v]["speedup"] for v in variants)
        assert (reached >= asked) == (what == "INT8, 575 frames, with the library")


def test_the_codec_is_as_fast_as_the_page_says(runs: dict[str, Json]) -> None:
    cases = runs["latency"]["cases"]
    decoder, encoder = cases["codec_decoder-288"], cases["codec_encoder-288"]
    assert 1.5 < decoder["summary"]["int8-static"]["speedup"] < 2.0
    assert 2.0 < decoder["summary"]["int8-static-native"]["speedup"] < 2.5
    exact = {
        name: encoder["summary"][name]["speedup"]
        for name, found in encoder["runners"].items()
        if found["agreement"] is not None and found["agreement"]["value"] >= 1.0
    } | {"none": 0.0}
    assert max(exact, key=exact.__getitem__) == "fused-native"


def test_the_smallest_harmless_set_is_as_small_as_the_readme_says(runs: dict[str, Json]) -> None:
    (found,) = (s for s in runs["tune"]["searches"] if s["wish"]["grade"] == "harmless")
    assert "a quarter of FP32's bytes" in README.read_text(encoding="utf-8")
    assert 0.22 < found["chosen"]["bytes"] / found["source_bytes"] < 0.27
