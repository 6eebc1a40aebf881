"""A reporter that keeps what work says, where a command would print it."""

from __future__ import annotations

from vampnet_models.progress import Reporter


class Heard(Reporter):
    """`notes` and `warnings` in the order of their coming."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
