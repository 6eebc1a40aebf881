"""Who hears of a step, and what stays as a value."""

from __future__ import annotations

import pytest

from vampbench.api.progress import Heard
from vampnet_models.errors import InputError, contained
from vampnet_models.progress import Reporter


class _Listening(Reporter):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(f"note {text}")

    def warn(self, text: str) -> None:
        self.told.append(f"warning {text}")

    def finished(self, text: str, took_s: float) -> None:
        self.told.append(f"finished {text}")


def test_a_callback_hears_each_step_and_warnings_are_values() -> None:
    calls: list[tuple[str, int, int]] = []
    heard = Heard(lambda text, done, total: calls.append((text, done, total)))
    with heard.task("reading") as update:
        update(1, 2)
        heard.warn("one is silent")
    assert calls == [("reading", 0, 1), ("reading", 1, 2), ("reading", 2, 2)]
    assert heard.warnings == ["one is silent"]
    assert [step.name for step in heard.steps] == ["reading"]


def test_what_a_callback_raises_is_the_callers_own() -> None:
    mine = ValueError("enough")

    def stop(_text: str, _done: int, _total: int) -> None:
        raise mine

    heard = Heard(stop)
    with pytest.raises(ValueError, match="enough") as raised, contained(), heard.task("reading"):
        pass
    assert raised.value is mine


def test_a_listener_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(InputError, match="progress: is an int; give a function"):
        Heard(5)


def test_a_reporter_hears_all_of_it() -> None:
    listening = _Listening()
    heard = Heard(listening)
    with heard.task("reading"):
        heard.note("of four")
        heard.warn("one is silent")
    assert listening.told == ["note of four", "warning one is silent", "finished reading"]
    assert heard.warnings == ["one is silent"]
