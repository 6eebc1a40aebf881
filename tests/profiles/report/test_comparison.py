"""Two runs on one page: what moved, what did not, and what may not be compared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from profiles.report.comparison import headline, render_comparison
from profiles.report.views.changes import Change, changes_of
from tests.profiles.report.example import results_of

Results = dict[str, Any]
Find = Callable[[Results, str, str], Results]


@pytest.fixture
def later(results: Results, variant_of: Find) -> Results:
    """The same run, with fp16 of coarse slower, int4 smaller, int8-weights less true."""
    now = copy.deepcopy(results)
    cpu = variant_of(now, "coarse", "fp16")["profiles"]["cpu"]
    cpu["samples_s"] = [1.5 * s for s in cpu["samples_s"]]
    variant_of(now, "coarse", "int4-weights")["bytes"] //= 2
    accuracy = variant_of(now, "coarse", "int8-weights")["accuracy"]
    accuracy["token_agreement"] -= 0.05
    accuracy["interval"] = [v - 0.05 for v in accuracy["interval"]]
    return now


def row(changes: Any, model: str, recipe: str) -> Change:
    found: Change = next(r for r in changes.rows if (r.model, r.recipe) == (model, recipe))
    return found


def test_a_run_against_itself_has_no_difference(results: Results) -> None:
    run = results_of(results)
    changes = changes_of(run, run)
    assert headline(changes) == "No difference in 24\u00a0variants"
    timing = row(changes, "c2f", "fp16").timings[0]
    assert timing.target == "cpu" and timing.shift is not None
    assert timing.shift.verdict == "no difference"
    assert timing.shift.ratio.value == 1.0


def test_a_slower_machine_is_a_notice_and_no_slower_variant(results: Results) -> None:
    now = copy.deepcopy(results)
    for model in now["models"]:
        for variant in model["variants"]:
            if variant["profiles"]:
                cpu = variant["profiles"]["cpu"]
                for key in ("samples_s", "yardstick_s"):
                    cpu[key] = [1.4 * s for s in cpu[key]]
    changes = changes_of(results_of(results), results_of(now))
    assert headline(changes) == "No difference in 24\u00a0variants"
    (notice,) = changes.notices
    assert "On cpu the machine itself took 1.40 to 1.40 times as long" in notice
    assert "machine 1.40×" in render_comparison(changes)


def test_noisy_times_are_called_neither(results: Results, later: Results, variant_of: Find) -> None:
    variant_of(later, "coarse", "fp16")["profiles"]["cpu"]["noisy"] = True
    said = headline(changes_of(results_of(results), results_of(later)))
    assert said == "Of 24\u00a0variants: 1 too noisy to tell on cpu, 1 less true, 1 smaller"


def test_what_moved_is_said(results: Results, later: Results) -> None:
    changes = changes_of(results_of(results), results_of(later))
    said = headline(changes)
    assert said == "Of 24\u00a0variants: 1 slower on cpu, 1 less true, 1 smaller"
    slow = row(changes, "coarse", "fp16").timings[0].shift
    assert slow is not None and slow.ratio.value == pytest.approx(1.5)
    assert row(changes, "coarse", "int4-weights").size_ratio == pytest.approx(0.5, abs=1e-4)
    assert row(changes, "coarse", "int8-weights").kept == "less"
    back = changes_of(results_of(later), results_of(results))
    assert "1 faster on cpu, 1 truer, 1 larger" in headline(back)


def test_another_machines_times_are_refused(results: Results, later: Results) -> None:
    later["host"]["cpu"] = "Another Processor"
    refused = changes_of(results_of(results), results_of(later))
    timing = row(refused, "coarse", "fp16").timings[0]
    assert timing.shift is None and "--other-machine" in timing.reason
    assert "Of different machines: cpu: 'Example" in refused.notices[0]
    allowed = changes_of(results_of(results), results_of(later), other_machine=True)
    shift = row(allowed, "coarse", "fp16").timings[0].shift
    assert shift is not None and shift.verdict == "slower"
    assert allowed.notices == refused.notices


def test_unlike_inputs_are_not_compared(results: Results, later: Results, variant_of: Find) -> None:
    variant_of(later, "coarse", "fp16")["profiles"]["cpu"]["feed_shapes"] = {"codes": [1, 4, 9]}
    variant_of(later, "coarse", "fused")["profiles"]["cpu"]["threads"] = 1
    later["audio_set"]["sha256"] = "0" * 64
    later["models"][0]["source_sha256"] = "1" * 64
    later["host"]["versions"]["onnxruntime"] = "9.9"
    changes = changes_of(results_of(results), results_of(later))
    assert "other shapes" in row(changes, "coarse", "fp16").timings[0].reason
    assert "2 threads then, 1 now" in row(changes, "coarse", "fused").timings[0].reason
    said = " ".join(changes.notices)
    for text in ("different inputs", "source models: codec_encoder", "1.31.1 then, 9.9 now"):
        assert text in said


def test_what_fed_each_model_is_compared_whatever_the_audio(
    results: Results, later: Results
) -> None:
    """Of two runs on given feeds the audio is the same: none."""
    for run in (results, later):
        for model in run["models"]:
            model["evaluation_sha256"] = "0" * 64
    assert changes_of(results_of(results), results_of(later)).notices == ()
    later["models"][1]["evaluation_sha256"] = "1" * 64
    (notice,) = changes_of(results_of(results), results_of(later)).notices
    assert notice == "Judged on different inputs, by which agreement differs too: coarse"
    later["models"][1]["evaluation_sha256"] = None
    later["audio_set"]["sha256"] = "0" * 64
    (notice,) = changes_of(results_of(results), results_of(later)).notices
    assert notice.endswith(" too: coarse"), "an earlier version noted the audio alone"


def test_the_page(results: Results, later: Results, page_of: Callable[[str], Any]) -> None:
    later["models"][3]["variants"].pop()
    html = render_comparison(changes_of(results_of(results), results_of(later)))
    page = page_of(html)
    assert len(page.all("article", "model")) == 4
    charts = page.all("svg", "chart")
    assert [c["aria-label"] for c in charts][1] == "coarse: time on cpu, now over then"
    assert all(t.get("tabindex") == "0" for t in page.all("div", "scroll"))
    for text in ("1.50×", "slower", "only in the run then"):
        assert text in page.text
    assert "1 gone" in page.sections["verdict"]
    assert "<script>" in html and "https://" not in html
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
