"""The measured process: opens one session, runs when asked, and answers in lines of JSON.

    python -m profiles.measure.child MODEL FEEDS.npz --threads N --provider NAME [--bind DEVICE]
                             [--profile PREFIX]

It first says {"event": "ready", ...} or {"event": "error", "message": ...}. Then each line on
its standard input is a request: `run N` -> {"event": "ran", "samples_s": [...]}, `memory` ->
{"event": "memory", "peak_rss_bytes": ...}, `profile` -> {"event": "profile", "path": ...}, where
ONNX Runtime has written its operator profile. The end of input ends it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from vampnet_models.errors import WorkbenchError, reason_of
from vampnet_models.onnxfile.session import Feeds, Session, open_session


def _main(arguments: list[str] | None = None) -> int:
    """Serve one parent; the exit code is 2 when the model could not be opened."""
    options = _parser().parse_args(arguments)
    # What libraries print must not mix into the protocol.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        session, run, ready = _open(options)
    except Exception as error:  # noqa: BLE001
        # Whatever opening raises is the parent's to name; a traceback would hide the reason.
        message = str(error) if isinstance(error, WorkbenchError) else reason_of(error)
        _say(replies, {"event": "error", "message": message})
        return 2
    _say(replies, ready)
    gc.disable()
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "run":
            try:
                samples_s = [_timed(run) for _ in range(int(rest[0]))]
            except Exception as error:  # noqa: BLE001
                # The runtime's binding raises a class per status code; the parent names the model.
                message = f"it does not run: {reason_of(error)}"
                _say(replies, {"event": "error", "message": message})
                return 1
            _say(replies, {"event": "ran", "samples_s": samples_s})
        elif verb == "memory":
            _say(replies, {"event": "memory", "peak_rss_bytes": peak_rss_bytes()})
        elif verb == "profile":
            _say(replies, {"event": "profile", "path": session.raw.end_profiling()})
    return 0


def peak_rss_bytes() -> int:
    """The most memory that this process itself has held resident, mapped files included.

    Linux keeps `ru_maxrss` across exec, so it would report a larger parent: VmHWM does not.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _rss_bytes() -> int | None:
    """What this process holds resident now; None where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * resource.getpagesize()


def _open(options: argparse.Namespace) -> tuple[Session, Callable[[], object], dict[str, Any]]:
    with np.load(options.feeds) as archive:
        feeds: Feeds = {name: archive[name] for name in archive.files}
    base_bytes = peak_rss_bytes()
    read_before = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    start = time.perf_counter()
    session = open_session(
        options.model,
        providers=[options.provider],
        threads=options.threads,
        profile_prefix=options.profile,
        portable_instead=False,
        is_checked=True,
    )
    session_s = time.perf_counter() - start
    loaded_bytes = _rss_bytes()
    read_blocks = resource.getrusage(resource.RUSAGE_SELF).ru_inblock - read_before
    wrong = set(session.input_names) ^ set(feeds)
    if wrong:
        raise ValueError(
            f"the feeds have {sorted(feeds)}, the model takes {sorted(session.input_names)}"
        )
    run = _bound(session, feeds, options.bind) if options.bind else lambda: session.run(feeds)
    return (
        session,
        run,
        {
            "event": "ready",
            "session_s": session_s,
            "base_rss_bytes": base_bytes,
            "rss_after_load_bytes": loaded_bytes,
            "disk_read_bytes": read_blocks * 512,
        },
    )


def _bound(session: Session, feeds: Feeds, device: str) -> Callable[[], object]:
    """A run with inputs already on `device` and outputs left there; ends when they are ready."""
    import onnxruntime as ort

    binding = session.raw.io_binding()
    for name, array in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, device, 0))
    for name in session.output_names:
        binding.bind_output(name, device)

    def run() -> None:
        session.raw.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _say(stream: TextIO, reply: dict[str, Any]) -> None:
    stream.write(json.dumps(reply) + "\n")
    stream.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="profiles.measure.child")
    parser.add_argument("model", type=Path)
    parser.add_argument("feeds", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--provider", default="CPUExecutionProvider")
    parser.add_argument("--bind", default="", help="bind inputs and outputs on this device")
    parser.add_argument("--profile", type=Path, help="start of the operator profile's file name")
    return parser


if __name__ == "__main__":
    sys.exit(_main())
