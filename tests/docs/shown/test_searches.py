"""Commands that try much of each model, wherever they are shown, on a few of the least ones."""

from __future__ import annotations

import pytest

from tests.docs.shown.desk import STEPS, Desk, Step, room_of

pytestmark = pytest.mark.shown


@pytest.mark.parametrize("step", [step for step in STEPS if room_of(step) == "pair"], ids=str)
def test_it_runs(step: Step, desk: Desk) -> None:
    desk.run(step)
