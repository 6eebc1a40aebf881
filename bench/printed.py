"""What a benchmark's work says of itself, on stderr."""

from __future__ import annotations

import sys

from vampnet_models.progress import Reporter


class Printed(Reporter):
    """A line for each finished step, each warning and each error."""

    def warn(self, text: str) -> None:
        """Something that was not done, and why."""
        print(f"warning: {text}", file=sys.stderr)

    def error(self, text: str) -> None:
        """An input that cannot be used, while the others go on."""
        print(f"error: {text}", file=sys.stderr)

    def finished(self, text: str, took_s: float) -> None:
        """A step came to its end."""
        print(f"{text}: {took_s:.1f} s", file=sys.stderr)
