"""The contents of an imported.json: times that other tools measured on real devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

EVIDENCE = "measured on that device, imported"


@dataclass(frozen=True)
class Imported:
    """A measurement of another tool on another machine; None where the tool does not say.

    source, source_sha256: the file that it was read from.
    samples_s: single runs in seconds; empty where the tool kept none, and then `median_s` is its
        own figure.
    runs: how many the figures stand for.
    first_run_s: the tool's warm-up, not among the samples.
    session_s: to load the model.
    peak_rss_bytes: of the process, or of the inference alone, as the tool tells it.
    compute_units: operators that ran on each unit of the device, or by each provider.
    """

    device: str
    tool: str
    model: str
    source: str
    source_sha256: str
    samples_s: tuple[float, ...]
    median_s: float
    p10_s: float | None
    p90_s: float | None
    runs: int | None
    first_run_s: float | None
    session_s: float | None
    peak_rss_bytes: int | None
    compute_units: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    kind: Literal["imported"] = "imported"
    evidence: str = EVIDENCE


@dataclass(frozen=True)
class ImportedFile:
    """What `vampbench import-profile -o` writes and adds to."""

    records: tuple[Imported, ...]
