"""A new user who has README alone: every command of it in order, and what is wrong with each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from docs.sessions import shown
from tests.first_minutes.watched import Watched, watch

MOST_WAIT_S = 10.0
BUSY_WAIT_S = 60.0
"""Beside other tests the disk and the network are shared as well, which the load does not tell."""

LIMIT_S = 1_800.0
RUN = "vampbench run "
FEWER = "--rounds 3 --recipes fp16,int8-static"
SETTING = (". ", "cd ")
"""First words of commands that change the shell which they are typed in."""

_CODE = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Form:
    """A line of stderr that README explains, and its words there."""

    pattern: str
    words: str


PROGRESS = "Progress and warnings go to stderr"
STEP = r"(\[\d+/\d+\] )?[^\[].*: "
LEFT = r"(, about \d+ (s|min) left)?"
EXPLAINED = (
    Form(rf"{STEP}\d+\.\d s", PROGRESS),
    Form(rf"{STEP}(\d+ of \d+, )?\d+ s so far{LEFT}", PROGRESS),
    Form(rf"\S+ \([a-z0-9-]+\): model \d+ of \d+{LEFT}", PROGRESS),
    Form(r"  kept from before: .+", "An interrupted run goes on where it stopped"),
    Form(r"warning: .+; calibrate on audio like it", "*calibrate on audio like it* (for"),
    Form(
        r"warning: .+ has only \d+\.\d s of audio: .+; add recordings",
        "*add recordings* mean that yours are",
    ),
    Form(r"recordings: .+ (calibrates?|judges?)", "one half calibrates, the other judges"),
    Form(
        r"warning: \d+ recordings? judges?: on fewer than 5 nothing is shown to hold harmless, .+",
        "*is shown to hold*: too little was heard to prove",
    ),
    Form(
        r"warning: nothing of .+ is shown to hold harmless \(.+\): FP16 is there instead, or FP32"
        r"(; cannot tell: .+)?",
        "*is shown to hold*: too little was heard to prove",
    ),
)


def steps(page: str) -> Iterator[tuple[str, str | None]]:
    """README's commands in order; its code is a file that is run, given with the command."""
    at = 0
    for number, code in enumerate(_CODE.finditer(page), 1):
        yield from ((each.command, None) for each in shown(page[at : code.start()]))
        yield f"python typed{number}.py", code[1]
        at = code.end()
    yield from ((each.command, None) for each in shown(page[at:]))


def unexplained(stderr: str) -> list[str]:
    """The lines of stderr that README says nothing about."""
    return [
        line
        for line in stderr.splitlines()
        if line and not any(re.fullmatch(form.pattern, line) for form in EXPLAINED)
    ]


def faults(done: Watched, most_wait_s: float = MOST_WAIT_S) -> list[str]:
    """What would stop or puzzle a new user."""
    found = [f"exit code {done.code}"] if done.code != 0 else []
    found += [f"stderr: {line}" for line in unexplained(done.stderr)]
    if done.longest_wait_s > most_wait_s:
        found.append(f"said nothing for {done.longest_wait_s:.0f} s")
    return [f"{done.command}: {each}" for each in found]


def play(
    page: str,
    checkout: Path,
    variables: dict[str, str],
    tell: Callable[[Watched], None],
    brief: bool = False,
) -> list[str]:
    """Type every command of a page in a checkout; what was wrong, ended by the first that fails.

    When brief, as beside other tests, `run` makes two recipes and times them seldom: `make demo`
    before it makes them all. And a command may be silent for longer.
    """
    before = ""
    found: list[str] = []
    for command, code in steps(page):
        if code is not None:
            (checkout / command.split()[1]).write_text(code, encoding="utf-8")
        typed = f"{command} {FEWER}" if brief and command.startswith(RUN) else command
        done = replace(watch(before + typed, checkout, variables, LIMIT_S), command=typed)
        tell(done)
        found += faults(done, BUSY_WAIT_S if brief else MOST_WAIT_S)
        if done.code != 0:
            return found
        if command.startswith(SETTING):
            before += f"{command} && "
    return found
