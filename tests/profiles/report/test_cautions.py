from __future__ import annotations

from typing import Any

from profiles.report.cautions import cautions_of, left_in_float
from tests.profiles.report.example import results_of


def lines(results: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {c.title: c.lines for c in cautions_of(results_of(results))}


def test_warnings_of_the_example(results: dict[str, Any]) -> None:
    said = lines(results)
    (larger,) = said["Larger than their source"]
    assert larger.startswith("c2f · fused: 9.91\u00a0MB, source 9.87\u00a0MB (100.40\u00a0%)")
    assert said["Clips that were dropped"][1].startswith("Übergang <3>.wav: 3 samples")
    assert "alpha is not constant" in said["Fusions that did not match"][0]
    assert said["About the audio"] == ("only 41 s of evaluation audio",)
    assert "Broken audio" not in said
    assert "Few positions" not in said


def test_a_shared_warning_is_said_once(results: dict[str, Any]) -> None:
    (line,) = lines(results)["Made with a warning"]
    assert line == "codec_encoder · fp16 and 3\u00a0others: 2 scales are subnormal"


def test_broken_audio_few_positions_and_failures(results: dict[str, Any]) -> None:
    decoder = results["models"][3]["variants"]
    decoder[0]["accuracy"] |= {"nonfinite": 3, "clipped": 1}
    results["models"][1]["variants"][0]["accuracy"]["n_positions"] = 4_999
    decoder[1]["profiles"]["cuda"] = {
        "kind": "failed",
        "target": "cuda",
        "reason": "out of memory",
    }
    decoder[2]["profiles"]["cpu"]["warnings"] = ["measure on an idle machine"]
    said = lines(results)
    assert said["Broken audio"] == (
        "codec_decoder · fused: 3\u00a0values not finite",
        "codec_decoder · fused: 1\u00a0clipped sample",
    )
    assert said["Few positions"] == ("coarse · fused: 4,999 positions",)
    assert said["Could not be measured"] == ("codec_decoder · fp16 on cuda: out of memory",)
    assert said["While measuring"] == (
        "codec_decoder · int8-static on cpu: measure on an idle machine",
    )


def test_totals_that_disagree_with_their_variants_are_found(results: dict[str, Any]) -> None:
    assert "Sums that disagree" not in lines(results)
    results["totals"]["fp16"] += 1
    (line,) = lines(results)["Sums that disagree"]
    assert line.startswith("fp16: ")


def test_nodes_left_in_float_are_grouped_by_reason(results: dict[str, Any]) -> None:
    left = {entry.variant: entry for entry in left_in_float(results_of(results))}
    assert "codec_encoder · fused" not in left
    static = left["codec_encoder · int8-static"]
    assert static.total == 4
    ((op_type, reason, nodes),) = static.groups
    assert (op_type, reason) == ("MatMul", "activation x activation")
    assert nodes[0] == "blocks.0/<attn>"
    mixed = left["coarse · int4-weights"]
    assert (static.what, mixed.what) == ("left in float", "in another precision")
    ((_, reason, _),) = mixed.groups
    assert reason == "int8: 4 bits cost"


def test_long_lists_start_closed_unless_they_are_grave(results: dict[str, Any]) -> None:
    clips = [{"name": f"{i}.wav", "reason": "silent"} for i in range(9)]
    results["audio_set"]["dropped"] = clips
    found = {c.title: c.open for c in cautions_of(results_of(results))}
    assert not found["Clips that were dropped"]
    assert found["Larger than their source"] and found["Made with a warning"]
