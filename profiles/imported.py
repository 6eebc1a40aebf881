"""Times that another tool measured on a real device: read in, labelled, never mixed with ours.

Taken are what `onnxruntime_perf_test` writes to its result file (a line per run: model, seconds,
peak working set in bytes, CPU use, run) or prints with `-s` and `-v`, and the JSON of a profile job
of Qualcomm AI Hub (`ProfileJob.download_profile`: times in microseconds, memory in bytes).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from profiles.stats import percentile, summarise
from vampnet_models.artifact import sha256_of
from vampnet_models.errors import InputError

EVIDENCE = "measured on that device, imported"
PERF_TEST, AI_HUB = "onnxruntime_perf_test", "Qualcomm AI Hub"
MICRO = 1e-6

_ROW = re.compile(r"^(?P<model>.*),(?P<s>[-+.\deE]+),(?P<bytes>\d+),(?P<cpu>-?\d+),(?P<run>\d+)$")
_ITERATION = re.compile(r"iteration:\d+,\s*time_cost:(?P<s>[-+.\deE]+)")
_AVERAGE = re.compile(
    r"Average inference time cost(?: total)?:\s*(?P<value>[-+.\deE]+)\s*(?P<unit>ms|s)"
)
_SESSION = re.compile(r"Session creation time cost:\s*(?P<value>[-+.\deE]+)\s*s")
_PEAK = re.compile(r"Peak working set size:\s*(?P<value>\d+)\s*bytes")


@dataclass(frozen=True)
class Imported:
    """A measurement of another tool on another machine; `median_s` is the tool's average where it
    kept no samples, and `samples_s` is then empty. Memory and load times where it told them.

    `compute_units` counts the operators that ran on each unit of the device.
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
    session_s: float | None
    peak_rss_bytes: int | None
    compute_units: dict[str, int]
    warnings: tuple[str, ...]
    kind: Literal["imported"] = "imported"
    evidence: str = EVIDENCE

    def as_json(self) -> dict[str, Any]:
        """The record, JSON values alone."""
        return asdict(self)


def import_profile(path: Path, device: str, model: str | None = None) -> Imported:
    """Read one file. Raises InputError when it is neither tool's, or holds no times."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path}: cannot be read: {reason}; give what the tool wrote") from None
    found = _ai_hub(path, text) if text.lstrip()[:1] in ("{", "[") else _perf_test(path, text)
    samples: tuple[float, ...] = tuple(found.pop("samples_s"))
    average = found.pop("average_s")
    named = found.pop("model")
    if any(not math.isfinite(s) or s <= 0 for s in (*samples, *([average] if average else []))):
        raise InputError(f"{path}: holds a time that is not above zero; import the tool's own file")
    if not samples and not average:
        raise InputError(f"{path}: holds no inference time; give {PERF_TEST}'s or {AI_HUB}'s file")
    warnings = list(found.pop("warnings"))
    if not samples:
        warnings.append("the tool kept no single times: this is its average, without a spread")
    return Imported(
        device=device,
        model=model or named or path.stem,
        source=path.name,
        source_sha256=sha256_of((path,)),
        samples_s=samples,
        median_s=summarise(samples).median if samples else float(average),
        p10_s=percentile(samples, 10) if samples else None,
        p90_s=percentile(samples, 90) if samples else None,
        warnings=tuple(warnings),
        **found,
    )


def _perf_test(path: Path, text: str) -> dict[str, Any]:
    session: float | None
    peak: float | None
    rows = [match for line in text.splitlines() if (match := _ROW.match(line.strip()))]
    if rows:
        models = {row["model"] for row in rows}
        if len(models) > 1:
            raise InputError(
                f"{path}: holds {len(models)} models; the tool appends: give a file for each"
            )
        restarts = sum(row["run"] == "0" for row in rows)
        samples = [_number(path, row["s"]) for row in rows]
        session, peak = None, float(max(int(row["bytes"]) for row in rows))
        several = f"{restarts} runs of the tool were appended to this file"
        warnings = [several] if restarts > 1 else []
        name = models.pop()
    else:
        samples = [_number(path, m["s"]) for m in _ITERATION.finditer(text)]
        session = _first(path, _SESSION, text)
        peak = _first(path, _PEAK, text)
        warnings, name = [], ""
    average = _AVERAGE.search(text)
    average_s = None
    if average is not None:
        average_s = _number(path, average["value"]) * (1e-3 if average["unit"] == "ms" else 1)
    if not samples and average_s is None:
        raise InputError(
            f"{path}: neither a result of {PERF_TEST} nor a profile of {AI_HUB}; give such a file"
        )
    return {
        "tool": PERF_TEST,
        "model": name,
        "samples_s": samples,
        "average_s": average_s,
        "session_s": session,
        "peak_rss_bytes": None if not peak else int(peak),
        "compute_units": {},
        "warnings": warnings,
    }


def _ai_hub(path: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: damaged JSON: {error}") from None
    summary = content.get("execution_summary") if isinstance(content, dict) else None
    if not isinstance(summary, dict):
        raise InputError(f"{path}: no profile of {AI_HUB}: it has no execution_summary")
    times = summary.get("all_inference_times") or []
    average = summary.get("estimated_inference_time")
    details = content.get("execution_detail") or []
    if not isinstance(times, list) or not isinstance(details, list):
        raise InputError(f"{path}: damaged profile: times and details are lists")
    units = Counter(
        str(each.get("compute_unit", "unknown")) for each in details if isinstance(each, dict)
    )
    load = summary.get("warm_load_time") or summary.get("first_load_time")
    peak = summary.get("estimated_inference_peak_memory")
    return {
        "tool": AI_HUB,
        "model": "",
        "samples_s": [_number(path, t) * MICRO for t in times],
        "average_s": None if average is None else _number(path, average) * MICRO,
        "session_s": None if load is None else _number(path, load) * MICRO,
        "peak_rss_bytes": None if peak is None else int(_number(path, peak)),
        "compute_units": dict(units.most_common()),
        "warnings": [],
    }


def _first(path: Path, pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return None if match is None else _number(path, match["value"])


def _number(path: Path, value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        return float(value)
    except ValueError:
        raise InputError(f"{path}: {value!r} stands where a number should") from None
