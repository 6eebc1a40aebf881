"""The process that compiles for Qualcomm's NPU and, when asked, emulates it on x86.

    python -m profiles.targets.qnn_child MODEL FEEDS.npz FOLDER --soc N --arch N [--emulate]

MODEL has fixed shapes. FEEDS holds `STATE/INPUT` arrays. FOLDER receives the context binary, the
compiler's trace, `result.json` and, emulated, `outputs.npz` with `STATE/OUTPUT`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from vampnet_models.errors import reason_of

_PROVIDER = "QNNExecutionProvider"


def _main(arguments: list[str] | None = None) -> int:
    """Compile, emulate, write; the exit code is 2 with one line on stderr where that fails."""
    options = _parser().parse_args(arguments)
    try:
        session, compile_s = _compile(options)
    except Exception as error:  # noqa: BLE001
        # The binding raises a class per status code; the parent names the model.
        print(reason_of(error, 400), file=sys.stderr)  # noqa: T201
        return 2
    result: dict[str, Any] = {"compile_s": compile_s, "providers": session.get_providers()}
    if options.emulate:
        outputs: dict[str, Any] = {}
        seconds: list[float] = []
        for state, feeds in _states(options.feeds).items():
            start = time.perf_counter()
            values = session.run(None, feeds)
            seconds.append(time.perf_counter() - start)
            names = [output.name for output in session.get_outputs()]
            outputs |= {f"{state}/{n}": v for n, v in zip(names, values, strict=True)}
        np.savez(options.folder / "outputs.npz", allow_pickle=False, **outputs)
        result["emulation_s"] = seconds
    (options.folder / "result.json").write_text(json.dumps(result))
    return 0


def _states(path: Path) -> dict[str, dict[str, Any]]:
    """The feeds of each state, in order."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    with np.load(path) as archive:
        for key in archive.files:
            state, _, name = key.partition("/")
            found[state][name] = archive[key]
    return dict(found)


def _compile(options: argparse.Namespace) -> tuple[ort.InferenceSession, float]:
    import onnxruntime_qnn as qnn

    ort.register_execution_provider_library(_PROVIDER, qnn.get_library_path())
    devices = [d for d in ort.get_ep_devices() if d.ep_name == _PROVIDER]
    if not devices:
        raise RuntimeError("the provider's library loads and offers no device")
    session_options = ort.SessionOptions()
    session_options.log_severity_level = 3
    session_options.add_session_config_entry("ep.context_enable", "1")
    context = options.folder / "context.onnx"
    session_options.add_session_config_entry("ep.context_file_path", str(context))
    session_options.add_provider_for_devices(
        devices[:1],
        {
            "backend_path": qnn.get_qnn_htp_path(),
            "soc_model": str(options.soc),
            "htp_arch": str(options.arch),
            "enable_framework_op_trace": "1",
            "framework_op_trace_dir": str(options.folder),
        },
    )
    start = time.perf_counter()
    session = ort.InferenceSession(str(options.model), session_options, enable_fallback=0)
    return session, time.perf_counter() - start


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="profiles.targets.qnn_child")
    parser.add_argument("model", type=Path)
    parser.add_argument("feeds", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--soc", type=int, required=True)
    parser.add_argument("--arch", type=int, required=True)
    parser.add_argument("--emulate", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(_main())
