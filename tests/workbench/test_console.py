"""What a long step says where no terminal shows its bar."""

import pytest

from workbench import console
from workbench.console import Voice


def test_a_long_step_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    now_s = [0.0]
    monkeypatch.setattr(console, "LINE_EVERY_S", 15.0)
    monkeypatch.setattr(console.time, "perf_counter", lambda: now_s[0])
    voice = Voice()
    with voice.task("calibrating") as update:
        for done in range(1, 11):
            now_s[0] += 4.0
            update(done, 10)
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "calibrating: 4 of 10",
        "calibrating: 8 of 10",
        "calibrating: 40.0 s",
    ]
    assert said.out == ""


def test_a_short_step_says_only_what_it_took(capsys) -> None:
    with Voice().task("reading") as update:
        update(1, 2)
        update(2, 2)
    assert capsys.readouterr().err == "reading: 0.0 s\n"
