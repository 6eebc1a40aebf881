"""Times that another tool measured on a real device: read in, labelled, never mixed with ours.

Taken are

- what `onnxruntime_perf_test` writes to its result file or prints, see `imported_perf_test`;
- the JSON of ONNX Runtime's profiler, which `onnxruntime_perf_test -p` or an app writes, see
  `imported_trace`;
- the JSON of a profile job of Qualcomm AI Hub, `ProfileJob.download_profile` or
  `download_results` of its client (looked up in qai-hub 0.56): times in microseconds, memory in
  bytes, null where it has none.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from profiles.imported.perf_test import read_perf_test
from profiles.imported.trace import read_trace
from profiles.imported.values import MICRO, Found, number
from profiles.measure.stats import percentile, summarise
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import sha256_of
from vampnet_models.records.imported import Imported

_TOOLS = "onnxruntime_perf_test, ONNX Runtime's profiler or Qualcomm AI Hub"
_AI_HUB = "Qualcomm AI Hub"

_DOWNLOADED = re.compile(r"_j[0-9a-z]+_results$")
"""What AI Hub's client adds to the job's name."""


def import_profile(path: Path, device: str, model: str | None = None) -> Imported:
    """Read one file. Raises InputError when it is no such tool's, or holds no times."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path}: cannot be read: {reason}; give what the tool wrote") from None
    found = _json(path, text) if text.lstrip()[:1] in ("{", "[") else read_perf_test(path, text)
    if found is None:
        raise InputError(f"{path}: no result of {_TOOLS}; give such a file")
    times = [*found.samples_s, *filter(None, (found.median_s, found.p90_s, found.first_run_s))]
    if any(not math.isfinite(s) or s <= 0 for s in times):
        raise InputError(f"{path}: holds a time that is not above zero; import the tool's own file")
    samples = found.samples_s
    if not samples and found.median_s is None:
        raise InputError(f"{path}: holds no inference time; give a result of {_TOOLS}")
    return Imported(
        device=device,
        tool=found.tool,
        model=model or found.model or path.stem,
        source=path.name,
        source_sha256=sha256_of((path,)),
        samples_s=samples,
        median_s=summarise(samples).median if samples else float(found.median_s or 0),
        p10_s=percentile(samples, 10) if samples else None,
        p90_s=percentile(samples, 90) if samples else found.p90_s,
        runs=len(samples) or found.runs,
        first_run_s=found.first_run_s,
        session_s=found.session_s,
        peak_rss_bytes=found.peak_rss_bytes,
        compute_units=found.compute_units,
        warnings=found.warnings,
    )


def _json(path: Path, text: str) -> Found | None:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: damaged JSON: {error}") from None
    return read_trace(path, content) if isinstance(content, list) else _ai_hub(path, content)


def _ai_hub(path: Path, content: dict[str, Any]) -> Found | None:
    summary = content.get("execution_summary")
    if summary is None:
        return None
    details = content.get("execution_detail") or []
    if not isinstance(summary, dict) or not isinstance(details, list):
        raise InputError(
            f"{path}: damaged profile of {_AI_HUB}: its summary or detail is no record"
        )
    times = summary.get("all_inference_times") or []
    if not isinstance(times, list):
        raise InputError(f"{path}: damaged profile of {_AI_HUB}: all_inference_times is no list")
    estimated = summary.get("estimated_inference_time")
    units = Counter(
        str(each.get("compute_unit", "unknown")) for each in details if isinstance(each, dict)
    )
    load = summary.get("warm_load_time") or summary.get("first_load_time")
    peak = summary.get("estimated_inference_peak_memory")
    lonely = "the tool kept no single times: this is its estimate, without a spread"
    return Found(
        tool=_AI_HUB,
        model=_DOWNLOADED.sub("", path.stem),
        samples_s=tuple(number(path, t) * MICRO for t in times),
        median_s=None if estimated is None else number(path, estimated) * MICRO,
        session_s=None if load is None else number(path, load) * MICRO,
        peak_rss_bytes=None if peak is None else int(number(path, peak)),
        compute_units=dict(units.most_common()),
        warnings=() if times else (lonely,),
    )
