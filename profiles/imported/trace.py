"""The profiler's JSON of ONNX Runtime: `onnxruntime_perf_test -p`, or `enable_profiling` in an app.

A list of events in Chrome's trace form. `model_run` is a whole run, `session_initialization` and
the loading before it the session, `..._kernel_time` one operator with its provider. Microseconds.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from profiles.imported.values import MICRO, Found, number
from vampnet_models.errors import InputError

_TOOL = "ONNX Runtime's profiler"
_KERNEL = "_kernel_time"


def read_trace(path: Path, events: list[Any]) -> Found | None:
    """The figures of a trace; None when it holds none of the runtime's events.

    The first run is the warm-up and stands apart. Raises InputError when several sessions wrote
    into the file, or it has no run beside the first.
    """
    ours = [e for e in events if isinstance(e, dict) and e.get("cat") in ("Session", "Node")]
    if not ours:
        return None
    sessions = sum(e.get("name") == "session_initialization" for e in ours)
    if sessions > 1:
        raise InputError(f"{path}: {sessions} sessions wrote into this trace; give one of each")
    runs = _durations(path, ours, ("model_run",))
    if len(runs) < 2:
        raise InputError(
            f"{path}: the trace holds {len(runs)} run{'' if len(runs) == 1 else 's'}; the first "
            "warms up, so record at least two"
        )
    load = _durations(path, ours, ("session_initialization",))
    load += _durations(path, [e for e in ours if str(e.get("name")).startswith("model_loading")])
    return Found(
        tool=_TOOL,
        samples_s=tuple(runs[1:]),
        first_run_s=runs[0],
        session_s=sum(load) or None,
        compute_units=_providers(ours),
        warnings=(
            "the profiler writes down every operator, which slows the runs: the times are upper "
            "bounds",
        ),
    )


def _durations(
    path: Path, events: list[dict[str, Any]], names: tuple[str, ...] | None = None
) -> list[float]:
    """Seconds of the events of these names (of all without), in the order of their start."""
    chosen = [e for e in events if names is None or e.get("name") in names]
    chosen.sort(key=lambda e: number(path, e.get("ts", 0)))
    return [number(path, e.get("dur")) * MICRO for e in chosen]


def _providers(events: list[dict[str, Any]]) -> dict[str, int]:
    """How many operators each provider ran; an operator counts once over all runs."""
    ran = {
        (str(args.get("provider", "unknown")), e.get("name"), args.get("node_index"))
        for e in events
        if str(e.get("name")).endswith(_KERNEL) and isinstance(args := e.get("args"), dict)
    }
    return dict(Counter(provider for provider, *_ in ran).most_common())
