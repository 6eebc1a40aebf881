"""Play a new user in a bare environment: `python -m tests.first_minutes`.

Exit code 1 where a command of README fails, says on stderr what README does not explain, or leaves
one waiting.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.first_minutes.bare import (
    clone,
    environment,
    furnish,
    has_index,
    install_without_index,
)
from tests.first_minutes.play import play
from tests.first_minutes.watched import Watched


def tell(done: Watched) -> None:
    """One line for a command that was typed."""
    print(
        f"{done.took_s:6.1f} s, {done.cpu_s:6.1f} s of CPU, waited {done.longest_wait_s:4.1f} s  "
        f"{done.command}",
        flush=True,
    )


def first_minutes(room: Path, brief: bool = False) -> list[str]:
    """Clone, furnish and play in an empty folder; what was wrong."""
    checkout = room / "checkout"
    clone(checkout)
    furnish(checkout)
    variables = environment(room)
    if not has_index(room, variables):
        print("no package index: this environment's packages are linked in", flush=True)
        install_without_index(checkout, room, variables)
    page = (checkout / "README.md").read_text(encoding="utf-8")
    return play(page, checkout, variables, tell, brief)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        wrong = first_minutes(Path(folder))
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))
