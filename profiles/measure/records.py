"""What measuring one variant gives: a measurement or a failure. An estimate is neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from profiles.measure.stats import Noise, Ratio, Summary, Verdict


@dataclass(frozen=True)
class Measurement:
    """Times of one variant in a process of its own; raw samples in the order they were taken.

    `samples_s` are the timed runs, one per round; `warmup_s` the runs between the first and
    them. `session_s` is the time to open the model with its file in the page cache,
    `session_cold_s` with the file out of it (None where that could not be had). `peak_rss_bytes`
    is the whole process, of which `base_rss_bytes` was there before the model;
    `rss_after_load_bytes` was resident when it was open, before the first run (None where the
    system does not tell): much more than `bytes` means that the runtime unpacked the weights.
    `overhead_s` is what the harness adds to every run; `yardstick_s` what the same rounds took a
    fixed workload (empty where the plan has none). `ratio` compares with the reference of
    the same rounds.
    """

    target: str
    threads: int
    bytes: int
    samples_s: tuple[float, ...]
    warmup_s: tuple[float, ...]
    summary: Summary
    session_s: float
    session_cold_s: float | None
    first_run_s: float
    peak_rss_bytes: int
    base_rss_bytes: int
    rss_after_load_bytes: int | None
    overhead_s: float
    yardstick_s: tuple[float, ...]
    outliers: tuple[int, ...]
    noise: Noise
    foreign_share: float | None
    ratio: Ratio | None
    verdict: Verdict | None
    warnings: tuple[str, ...]
    kind: Literal["measurement"] = "measurement"

    def as_json(self) -> dict[str, Any]:
        """The record of results.json."""
        return {
            "kind": self.kind,
            "target": self.target,
            "threads": self.threads,
            "bytes": self.bytes,
            "median_s": self.summary.median,
            "p10_s": self.summary.p10,
            "p90_s": self.summary.p90,
            "p99_s": self.summary.p99,
            "n_samples": self.summary.n,
            "samples_s": list(self.samples_s),
            "warmup_s": list(self.warmup_s),
            "session_s": self.session_s,
            "session_cold_s": self.session_cold_s,
            "first_run_s": self.first_run_s,
            "peak_rss_bytes": self.peak_rss_bytes,
            "base_rss_bytes": self.base_rss_bytes,
            "rss_after_load_bytes": self.rss_after_load_bytes,
            "overhead_s": self.overhead_s,
            "yardstick_s": list(self.yardstick_s),
            "outliers": list(self.outliers),
            "noisy": self.noise.noisy,
            "spread": self.noise.spread,
            "drift": self.noise.drift,
            "foreign_share": self.foreign_share,
            "ratio_to_reference": self.ratio.value if self.ratio else None,
            "ratio_interval": [self.ratio.low, self.ratio.high] if self.ratio else None,
            "verdict": self.verdict.value if self.verdict else None,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Failure:
    """A variant that could not be measured, and why."""

    target: str
    reason: str
    kind: Literal["failed"] = "failed"

    def as_json(self) -> dict[str, Any]:
        """The record of results.json."""
        return {"kind": self.kind, "target": self.target, "reason": self.reason}
