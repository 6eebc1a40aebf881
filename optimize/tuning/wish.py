"""What the user of `tune` asks for."""

from __future__ import annotations

from dataclasses import dataclass

from optimize.tuning.search import Budget, Prefer
from profiles.place import Place


@dataclass(frozen=True)
class Wish:
    """Bounds (see `Budget`), and what to seek within them."""

    min_agreement: float | None
    min_si_sdr_db: float | None
    max_bytes: int | None
    max_latency: float | None
    prefer: Prefer
    target: Place
    rounds: int = 10
    threads: int = 0
    min_first_agreement: float | None = None

    @property
    def budget(self) -> Budget:
        """The bounds."""
        return Budget(
            self.min_agreement,
            self.min_si_sdr_db,
            self.max_bytes,
            self.max_latency,
            self.min_first_agreement,
        )

    @property
    def wants_speed(self) -> bool:
        """Whether time counts beside size."""
        return self.prefer == "fastest" or self.max_latency is not None
