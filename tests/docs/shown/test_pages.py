"""Commands that README and the pages show, on the reference models."""

from __future__ import annotations

import re

import pytest

from docs.pages import README
from tests.docs.shown.desk import STEPS, Desk, Step, room_of, run

pytestmark = pytest.mark.shown


@pytest.mark.parametrize("step", [step for step in STEPS if room_of(step) == ""], ids=str)
def test_it_runs(step: Step, desk: Desk) -> None:
    desk.run(step)


def test_readmes_code_runs(desk: Desk) -> None:
    desk.run(next(s for s in STEPS if s.shown.command.startswith("python out/android/selfcheck")))
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    code += "assert sound.shape[:2] == (1, 1) and sound.size >= audio.size\n"
    (desk.rooms.of("") / "load.py").write_text(code, encoding="utf-8")
    run("python load.py", desk.rooms.of(""))
