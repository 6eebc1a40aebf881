"""What was decided, in the words of a page."""

from __future__ import annotations

from typing import Any

from profiles.full_size import full_size_bytes
from profiles.report.views.decided import full_size_of, parts_text, sets_by_targets, time_text
from tests.profiles.report.example import results_of
from vampnet_models.records.results import FP32, DecidedSet


def test_one_recipe_for_all_is_said_once_and_times_have_their_upper_end() -> None:
    assert parts_text(DecidedSet({"a": "fp16", "b": "fp16"}, 1)) == "fp16 for every model"
    assert parts_text(DecidedSet({"a": "fp16", "b": "fp32"}, 1)) == "a fp16, b fp32"
    assert time_text(DecidedSet({}, 1)) == ""
    noisy = time_text(DecidedSet({}, 1, 0.5, 0.6, True))
    assert noisy.endswith("(at most 0.60×), noisy: no gain is counted")


def test_targets_with_one_set_stand_together(results: dict[str, Any]) -> None:
    ((targets, found),) = sets_by_targets(results_of(results))
    assert targets == ["android", "ios"] and found.parts["c2f"] == "int8-weights"


def test_full_size_is_of_written_files_and_of_known_models(results: dict[str, Any]) -> None:
    run = results_of(results)
    sources = {m.name: FP32 for m in run.models}
    written = [full_size_bytes(m.role) or 0 for m in run.models]
    assert full_size_of(run, DecidedSet(sources, 1)) == sum(written)
    assert full_size_of(run, DecidedSet(sources | {"coarse": "tuned-1"}, 1)) is None
    assert full_size_of(run, DecidedSet(sources | {"another": "fp16"}, 1)) is None
