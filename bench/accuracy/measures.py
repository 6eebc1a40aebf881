"""What the tools' models are ranked by."""

from __future__ import annotations

from dataclasses import dataclass

from vampnet_models.cache import Json
from vampnet_models.text import percent, signed


@dataclass(frozen=True)
class Measure:
    """What models are ranked by: a figure of the report, by its key, and how it is written."""

    key: str
    name: str
    more_is_better: bool

    def of(self, row: Json) -> Json | None:
        """The figure of a tool's row; None where it has none."""
        found: Json | None = row.get("accuracy", {}).get(self.key)
        return None if found is None or found["value"] is None else found

    def told(self, figure: Json) -> str:
        """Its value, as the tables write it."""
        value = figure["value"]
        return percent(value) if self.more_is_better else signed(value)

    def loss(self, figure: Json, key: str = "value") -> float:
        """So that less is better."""
        return -float(figure[key]) if self.more_is_better else float(figure[key])


MEASURES = (
    Measure("sampled_agreement", "sampled agreement", more_is_better=True),
    Measure("cost_nats", "cost, nats per token", more_is_better=False),
    Measure("cost_log_mel_db", "cost, dB log-mel", more_is_better=False),
)
