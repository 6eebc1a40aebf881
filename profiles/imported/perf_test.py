"""What onnxruntime_perf_test writes, after its source (`onnxruntime/test/perftest`).

Its result file gets a line `model,seconds,peak bytes,CPU percent,run` for each timed run; the
tool appends, and with `-s` adds the statistics that it also prints. It prints a summary, and with
`-v` every run.
"""

from __future__ import annotations

import re
from pathlib import Path

from profiles.imported.values import Found, number
from vampnet_models.errors import InputError

_TOOL = "onnxruntime_perf_test"

_VALUE = r"(?P<value>[-+.\deE]+)"
_ROW = re.compile(r"^(?P<model>.*),(?P<s>[-+.\deE]+),(?P<bytes>\d+),(?P<cpu>-?\d+),(?P<run>\d+)$")
_ITERATION = re.compile(r"iteration:\d+,\s*time_cost:" + _VALUE)
_AVERAGE = re.compile(
    rf"Average (?:inference )?time cost(?: total)?:\s*{_VALUE}\s*(?P<unit>ms|s)\b"
)
_LATENCY = re.compile(rf"^\s*P(?P<percent>\d+) Latency(?::| is)\s*{_VALUE}\s*s", re.MULTILINE)
_FIRST = re.compile(rf"First inference time cost:\s*{_VALUE}\s*ms")
_SESSION = re.compile(rf"Session creation time cost:\s*{_VALUE}\s*s")
_PEAK = re.compile(r"Peak working set size:\s*(?P<value>\d+)")
_RUNS = re.compile(r"(?:Total inference requests|Total iterations|Runs):\s*(?P<value>\d+)")


def read_perf_test(path: Path, text: str) -> Found | None:
    """The figures of a result file or of what was printed; None when it is neither.

    Raises InputError when the rows of several models stand in one file, or a number is none.
    """
    rows = [match for line in text.splitlines() if (match := _ROW.match(line.strip()))]
    if rows:
        return _result_file(path, rows)
    samples = tuple(number(path, m["value"]) for m in _ITERATION.finditer(text))
    average = _AVERAGE.search(text)
    average_s = None
    if average is not None:
        average_s = number(path, average["value"]) * (1e-3 if average["unit"] == "ms" else 1)
    percentiles = {m["percent"]: number(path, m["value"]) for m in _LATENCY.finditer(text)}
    median_s = percentiles.get("50", average_s)
    if not samples and median_s is None:
        return None
    first_ms, runs, peak = (_first(path, p, text) for p in (_FIRST, _RUNS, _PEAK))
    said = "the tool kept no single times: this is its " + (
        "P50 and P90" if "90" in percentiles else "average, without a spread"
    )
    return Found(
        tool=_TOOL,
        samples_s=samples,
        median_s=median_s,
        p90_s=percentiles.get("90"),
        runs=None if runs is None else int(runs),
        first_run_s=first_ms * 1e-3 if first_ms else None,
        session_s=_first(path, _SESSION, text),
        peak_rss_bytes=int(peak) if peak else None,
        warnings=() if samples else (said,),
    )


def _result_file(path: Path, rows: list[re.Match[str]]) -> Found:
    models = {row["model"] for row in rows}
    if len(models) > 1:
        raise InputError(
            f"{path}: holds {len(models)} models; the tool appends: give a file for each"
        )
    restarts = sum(row["run"] == "0" for row in rows)
    several = f"{restarts} runs of the tool were appended to this file"
    return Found(
        tool=_TOOL,
        model=models.pop(),
        samples_s=tuple(number(path, row["s"]) for row in rows),
        peak_rss_bytes=max(int(row["bytes"]) for row in rows) or None,
        warnings=(several,) if restarts > 1 else (),
    )


def _first(path: Path, pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return None if match is None else number(path, match["value"])
