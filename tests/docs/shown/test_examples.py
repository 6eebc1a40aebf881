"""Examples of the commands' own help, on the least models."""

from __future__ import annotations

import pytest

from tests.docs.shown.desk import STEPS, Desk, Step, room_of

pytestmark = pytest.mark.shown


@pytest.mark.parametrize("step", [s for s in STEPS if room_of(s) not in ("", "pair")], ids=str)
def test_it_runs(step: Step, desk: Desk) -> None:
    desk.run(step)
