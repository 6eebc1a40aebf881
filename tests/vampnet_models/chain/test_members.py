"""What is said of the models of a job as they are taken in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.heard import Heard
from vampnet_models.chain import members
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.spec import ModelSpec, Role


def test_each_says_which_it_is_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(members.time, "perf_counter", lambda: now_s[0])
    spec = ModelSpec(Role.GENERIC, (), (), opset=21)
    given = [Artifact(tmp_path / f"{name}.onnx", spec, (), 1, "0" * 64) for name in "abc"]
    heard = Heard()
    for _ in members.in_turn(given, heard):
        now_s[0] += 120.0
    assert heard.notes == [
        "a (generic): model 1 of 3",
        "b (generic): model 2 of 3, about 4 min left",
        "c (generic): model 3 of 3, about 2 min left",
    ]
