"""The kept results say what the documents say of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bench.latency.results import RIVALS, times_faster
from docs.cells import Json
from docs.kept import BENCH, DOCS, RUNS, all_kept


@pytest.fixture
def runs() -> dict[str, Json]:
    return all_kept()


@pytest.mark.parametrize("run", RUNS)
def test_enough_was_compared(runs: dict[str, Json], run: str) -> None:
    # The demo is short, and the full-size set no accuracy claim: fewer positions are enough there.
    needed = {"demo": 15_000, "full-size": 5_000}.get(run, 20_000)
    assert {m["role"] for m in runs[run]["models"]} == {
        "codec-encoder",
        "codec-decoder",
        "coarse",
        "c2f",
    }
    for model in runs[run]["models"]:
        for variant in model["variants"]:
            assert variant["accuracy"]["n_positions"] >= needed


def test_the_full_size_set_is_far_below_the_old_goal(runs: dict[str, Json]) -> None:
    sizes = {s["name"]: s["bytes"] for s in runs["full-size"]["sets"]}
    assert sizes["int8-dynamic transformers, fp16 codec"] <= 1.0e9
    assert sizes["int4-weights transformers, fp16 codec"] <= 0.7e9
    assert {m["weights"] for m in runs["full-size"]["models"]} == {"seeded"}
    assert {m["weights"] for m in runs["demo"]["models"]} == {"trained"}


def test_the_tuned_sets_keep_what_was_asked_for_and_are_smaller(runs: dict[str, Json]) -> None:
    for search in runs["tune"]["searches"]:
        chosen, wish = search["chosen"], search["wish"]
        if chosen is None:
            assert search["verdict"] and not search["models"]
            continue
        assert chosen["agreement"] >= (wish["min_agreement"] or 0)
        assert wish["grade"] is None or wish["grade"] in chosen["grades"]
        assert search["uniform"] is None or chosen["bytes"] < search["uniform"]["bytes"]
    assert runs["tune-full"]["uniform"] is None


def test_ours_draws_the_same_tokens_oftener_than_tools_of_no_smaller_models(
    runs: dict[str, Json],
) -> None:
    for model in runs["accuracy"]["models"]:
        if model["role"] not in ("coarse", "c2f"):
            continue
        made = [row for row in model["tools"] if "failed" not in row]
        ours = {r["tool"].removeprefix("ours: "): r for r in made if r["tool"].startswith("ours")}
        others = [row for row in made if not row["tool"].startswith("ours")]
        eight_bits = [row for row in others if "FP16" not in row["tool"]]
        assert len(eight_bits) >= 10
        best = max(row["accuracy"]["sampled_agreement"]["high"] for row in eight_bits)
        for recipe in ("int8-static", "int8-dynamic", "int8-weights"):
            assert ours[recipe]["accuracy"]["sampled_agreement"]["low"] > best


def test_ours_takes_the_least_memory_of_the_static_ones_at_full_size(
    runs: dict[str, Json],
) -> None:
    for model in runs["accuracy-full"]["models"]:
        rows = {t["tool"]: t for t in model["tools"]}
        others = [t for name, t in rows.items() if "static" in name and "ours" not in name]
        assert others
        ours = rows["ours: int8-static"]
        assert ours["peak_rss_bytes"] < min(row["peak_rss_bytes"] for row in others)
        assert ours["bytes"] < model["source_bytes"]


def test_the_transformers_are_ahead_of_onnxruntimes_quantizers(runs: dict[str, Json]) -> None:
    transformers = [c for c in runs["latency"]["cases"].values() if c["model"] in ("coarse", "c2f")]
    assert len(transformers) == 4
    for case in transformers:
        faster = {name: each.get("speedup") for name, each in case["summary"].items()}
        ours = min(faster["int8-static"], faster["int8-dynamic"])
        assert ours > max(faster["quantize-static"], faster["quantize-dynamic"])


def test_the_transformers_are_level_with_openvino_where_the_page_says_so(
    runs: dict[str, Json],
) -> None:
    def overlap(case: Json, name: str) -> bool:
        (low, high), (start, stop) = (
            case["summary"][each]["speedup_interval"] for each in (name, "openvino-nncf-int8")
        )
        return low <= stop and start <= high

    cases = runs["latency"]["cases"]
    for name in ("coarse-100", "coarse-575", "c2f-100", "c2f-575"):
        natives = ("int8-static-native", "int8-dynamic-native")
        assert any(overlap(cases[name], native) for native in natives)
    for name in ("coarse-100", "c2f-100"):
        assert overlap(cases[name], "int8-dynamic")
    for name in ("coarse-575", "c2f-575"):
        assert not overlap(cases[name], "int8-dynamic")
        static, dynamic = (
            cases[name]["summary"][each]["median_s"] for each in ("int8-static", "int8-dynamic")
        )
        assert static > dynamic


def test_with_the_library_zen_4_is_ahead_of_openvino_where_the_page_says_so(
    runs: dict[str, Json],
) -> None:
    cases = runs["latency-zen4"]["cases"]
    assert len(cases) == 5
    for name, case in cases.items():
        static, dynamic, bf16 = (times_faster(case, *pair) for pair in RIVALS)
        assert min(static[0], dynamic[0], bf16[0]) > 1
        assert (max(static[1], dynamic[1]) > 1) == (name != "coarse-100")
        assert (bf16[1] > 1) == (name != "c2f-575")
        portable = times_faster(case, "int8-dynamic", "openvino-nncf-int8")
        assert (portable[2] >= 1) == ("575" not in name)


def test_on_zen_3_int8_gains_without_the_library_as_the_page_says(runs: dict[str, Json]) -> None:
    cases = runs["latency-zen3"]["cases"]
    transformers = [c for c in cases.values() if c["model"] in ("coarse", "c2f")]
    assert len(transformers) == 3
    for case in transformers:
        summary = case["summary"]
        for name in ("int8-static", "int8-dynamic"):
            assert summary[name]["speedup_interval"][0] > 1
            low, high = summary[f"{name}-native"]["speedup_interval"]
            assert low < summary[name]["speedup"] and high > 1
            assert times_faster(case, name, "openvino-nncf-int8")[1] > 1
        assert summary["bf16-native"]["speedup_interval"][1] < 1
    encoder, decoder = cases["codec_encoder-288"], cases["codec_decoder-288"]
    assert encoder["runners"]["fused-native"]["agreement"]["value"] == 1
    assert encoder["summary"]["fused-native"]["speedup_interval"][0] > 1
    for case in (encoder, decoder):
        assert times_faster(case, "int8-static-native", "int8-static")[0] > 1


def test_the_codec_is_beside_quantize_static_where_the_page_says_so(runs: dict[str, Json]) -> None:
    cases = runs["latency"]["cases"]
    decoder, encoder = cases["codec_decoder-288"], cases["codec_encoder-288"]
    low, high = decoder["summary"]["int8-static"]["speedup_interval"]
    assert low <= decoder["summary"]["quantize-static"]["speedup"] <= high
    for case in (decoder, encoder):
        ours, theirs = (
            case["runners"][n]["agreement"]["value"] for n in ("int8-static", "quantize-static")
        )
        assert ours > theirs
    assert encoder["runners"]["quantize-static"]["agreement"]["value"] < 50
    slower = encoder["summary"]["int8-static"]["speedup"]
    assert slower < encoder["summary"]["quantize-static"]["speedup"]


def test_smoothquant_is_level_with_ours_on_coarse_with_more_memory(runs: dict[str, Json]) -> None:
    coarse = next(m for m in runs["accuracy-full"]["models"] if m["role"] == "coarse")
    rows = {t["tool"]: t for t in coarse["tools"]}
    ours, theirs = rows["ours: int8-static"], rows["Neural Compressor, SmoothQuant"]
    low, high = ours["accuracy"]["interval"]
    assert low <= theirs["accuracy"]["token_agreement"] <= high
    assert theirs["peak_rss_bytes"] > 3 * ours["peak_rss_bytes"]


def test_results_name_no_path_of_a_machine() -> None:
    found = [*DOCS.glob("*-results.json"), BENCH / "tune_full_size.json"]
    assert len(found) == 6
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert str(Path(sys.prefix).parent) not in text
        assert not re.search(r'"/', text)
