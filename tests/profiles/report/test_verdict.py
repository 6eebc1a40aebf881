from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from profiles.report.verdict import Verdict, verdict_of
from tests.profiles.report.example import results_of
from vampnet_models.family import VAMPNET


def judge(results: dict[str, Any]) -> Verdict:
    return verdict_of(results_of(results))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_small_models_say_so_and_what_full_size_weighs(results: dict[str, Any]) -> None:
    verdict = judge(results)
    assert plain(verdict.headline) == "29.6 MB in FP32, 8.48 MB to ship on cpu"
    assert "written in the same recipes, with seeded weights" in plain(verdict.summary)
    assert "under it" in plain(verdict.summary) and "about 7" not in plain(verdict.summary)
    notice = next(n for n in verdict.notices if "small" in n.title)
    for size in ("encoder 91.8 MB", "decoder 511 MB", "coarse 1.33 GB", "c2f 1.10 GB"):
        assert size in plain(notice.text)


def test_what_was_decided_is_told_and_nothing_else_is_chosen(results: dict[str, Any]) -> None:
    verdict = judge(results)
    parts = "codec_encoder fp16, coarse int8-dynamic, c2f int8-dynamic, codec_decoder int8-dynamic"
    assert (
        f"All 4 models together, on cpu: {parts}. That is the smallest set that is no slower "
        in (plain(verdict.summary))
    )
    assert "harmless" in verdict.summary and "0.52× FP32's time (at most 0.58×)" in verdict.summary
    assert [tile.question for tile in verdict.tiles] == [
        "To ship on cpu: the smallest that is no slower",
        "To ship on android, ios: the smallest that it takes, not measured there",
    ]
    assert verdict.tiles[0].name == parts and "c2f int8-weights" in verdict.tiles[1].name
    assert verdict.reasons[0].startswith("cpu: coarse int8-dynamic: no cost above 0.003 nats")
    assert "not coarse int4-weights: may cost 0.02 nats per token" in verdict.reasons
    assert verdict.reasons[-1].startswith("not claimed: that nobody can hear it; anything about")
    fastest = results["decision"]["cpu"]["fastest"]
    results["decision"]["cpu"]["fastest"] = fastest | {"parts": fastest["parts"] | {"c2f": "fp16"}}
    assert judge(results).tiles[1].question == "Fastest on cpu"


def test_no_choice_of_noisy_times_goes_without_the_word(results: dict[str, Any]) -> None:
    assert "noisy" not in judge(results).headline
    results["decision"]["cpu"]["smallest"]["noisy"] = True
    verdict = judge(results)
    assert verdict.headline.endswith("to ship on cpu (noisy times)")
    assert ", noisy" in verdict.summary
    assert verdict.tiles[0].lines[-1].endswith(", noisy: no gain is counted")


def test_a_grade_that_nothing_reaches_is_an_alarm(results: dict[str, Any]) -> None:
    results["decision"]["android"]["unheld"] = ["c2f"]
    (alarm,) = [n for n in judge(results).notices if n.title == "A grade that nothing reaches"]
    assert alarm.text == "of c2f nothing is shown to hold it: FP16 is there, or FP32"


def test_no_grade_is_claimed_that_nothing_is_shown_to_hold(results: dict[str, Any]) -> None:
    decided = results["decision"]["cpu"]
    decided["unheld"] = ["coarse"]
    said = "no slower than FP32, harmless, which is not shown of coarse: "
    assert said in plain(judge(results).summary)
    decided["unheld"] = list(decided["smallest"]["parts"])
    summary = plain(judge(results).summary)
    assert "no slower than FP32, of no grade: " in summary and "harmless" not in summary


def test_a_target_says_why_it_takes_so_little(results: dict[str, Any]) -> None:
    tile = judge(results).tiles[1]
    assert tile.question.startswith("To ship on android, ios")
    assert tile.lines[-1] == "FP16: CoreML has no QDQ path"


def test_a_run_of_an_earlier_version_is_told_to_be_run_again(results: dict[str, Any]) -> None:
    del results["decision"]
    verdict = judge(results)
    assert plain(verdict.headline) == "29.6 MB in FP32, nothing decided"
    (alarm,) = [n for n in verdict.notices if n.title == "No decision"]
    assert alarm.text == verdict.summary
    assert "run it again: vampbench run models --audio sounds -o out" in alarm.text
    assert verdict.tiles == verdict.reasons == ()


def test_full_size_models_are_held_against_the_goal(results: dict[str, Any]) -> None:
    for model, size in zip(results["models"], (91.4e6, 1.33e9, 1.10e9, 510e6), strict=True):
        factor = size / model["source_bytes"]
        model["source_bytes"] = size
        for variant in model["variants"]:
            variant["bytes"] = variant["bytes"] and round(variant["bytes"] * factor)
    results |= {"totals": {}, "sets": []}
    verdict = judge(results)
    assert "under the 1.8 GB goal" in plain(verdict.summary)
    assert "seeded" not in verdict.summary
    assert not any("small" in n.title for n in verdict.notices)


def test_seeded_weights_are_no_accuracy_claim(results: dict[str, Any]) -> None:
    results["models"][1]["weights"] = "seeded"
    alarm = next(n for n in judge(results).notices if n.tone == "alarm")
    assert alarm.title == "seeded weights: not an accuracy claim"
    assert "coarse" in alarm.text and "c2f" not in alarm.text


def test_problems_that_inspect_finds_are_repeated(results: dict[str, Any]) -> None:
    title = "Problems of the source models"
    assert title not in {plain(n.title) for n in judge(results).notices}
    results["models"][1]["problems"] = [
        {"kind": "random-looking-weights", "text": "3 weights look freshly initialised"},
        {"kind": "seeded-weights", "text": "has a notice of its own"},
    ]
    said = {plain(n.title): n.text for n in judge(results).notices}
    assert said[title] == "coarse: 3 weights look freshly initialised"


def test_missed_and_failed_are_named(results: dict[str, Any]) -> None:
    said = {plain(n.title): n.text for n in judge(results).notices}
    assert said["1 promise missed"] == "coarse int8-static"
    assert said["1 variant failed"] == "c2f int4-weights"


def test_files_that_could_not_be_read_are_named(results: dict[str, Any]) -> None:
    results["skipped"] = [{"path": "x.onnx", "reason": "x.onnx: the file is empty"}]
    said = {plain(n.title): n.text for n in judge(results).notices}
    assert said["1 file could not be read"] == "x.onnx: the file is empty"


def test_a_sentence_per_target(results: dict[str, Any]) -> None:
    cpu, cuda, mobile = judge(results).targets
    assert cpu[1] == "measurement" and "largest gain" in cpu[2]
    assert cuda[1] == "absent" and "vampbench profile --target cuda" in cuda[2]
    assert mobile[1] == "estimate" and "not measured" in mobile[2]
    assert "one call of each model takes" in mobile[2]
    assert "estimate" not in cuda[2]


def test_a_gain_inside_the_noise_is_not_boasted_of(results: dict[str, Any]) -> None:
    profiles = [
        (m["name"], v["recipe"], v["profiles"]["cpu"])
        for m in results["models"]
        for v in m["variants"]
        if v["profiles"]
    ]
    for _, _, cpu in profiles:
        cpu |= {"verdict": "no difference", "ratio_to_reference": 0.45, "noisy": True}
    said = judge(results).targets[0][2]
    assert "none is faster than FP32 beyond the noise" in said
    assert "of them noisy" in said
    name, recipe, cpu = profiles[3]
    cpu |= {"verdict": "faster", "ratio_to_reference": 0.7, "ratio_interval": [0.6, 0.8]}
    said = plain(judge(results).targets[0][2])
    assert f"the largest gain is {recipe} on {name}, 0.70× (0.60–0.80)" in said


def test_cuda_that_is_not_here_is_estimated_and_labelled(results: dict[str, Any]) -> None:
    for model in results["models"]:
        for i, owner in enumerate([model, *model["variants"]]):
            if owner["profiles"]:
                owner["profiles"]["cuda"]["estimates"] = [
                    {"device": name, "low_s": low + i / 1e3, "high_s": low + (i + 2) / 1e3}
                    | {"source": "a page"}
                    for name, low in (("NVIDIA T4", 0.002), ("NVIDIA A100", 0.001))
                ]
    said = plain(judge(results).targets[1][2])
    assert said.startswith("not measured; ")
    assert "estimate: one call of each model takes ≈ 8.00–20.0 ms with fused" in said
    assert "against ≈ 4.00–16.0 ms in FP32" in said


def test_nothing_usable_is_said(results: dict[str, Any]) -> None:
    for model in results["models"]:
        for variant in model["variants"]:
            variant |= {"status": "failed", "reason": "no", "bytes": None}
    results |= {"sets": [], "totals": {}, "decision": {}}
    verdict = judge(results)
    assert "no model has a usable variant" in verdict.summary
    assert verdict.tiles == ()
    assert judge({"schema": 1}).headline == "No model in this run"


def test_part_of_the_chain_is_not_held_against_the_goal(results: dict[str, Any]) -> None:
    results["models"] = results["models"][1:2]
    results |= {"totals": {}, "sets": []}
    assert "goal" not in judge(results).summary
    assert judge(results).families == ()


def test_another_familys_chain_is_named_and_not_held_against_the_goal(
    results: dict[str, Any],
) -> None:
    other = asdict(replace(VAMPNET, name="a chain", sample_rate_hz=16_000))
    for model in results["models"]:
        model["family"] = other
    verdict = judge(results)
    assert "goal" not in verdict.summary
    assert verdict.families == ("a chain (16,000 Hz, 768 samples a frame)",)
