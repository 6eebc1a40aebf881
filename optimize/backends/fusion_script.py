"""Another tool's graph fusion of one model, in a process of its own.

python fusion_script.py TOOL MODEL OUT.onnx

TOOL is onnxruntime (onnxruntime.transformers), onnxscript (its ort_fusions) or onnxruntime-tools,
the retired package, whose import would break the others. The last line of the output is JSON: what
the tool itself says that it fused, its seconds and the peak memory of the process.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the runtime is loaded


def _by_onnxruntime(source: Path, out: Path) -> dict[str, int]:
    """onnxruntime.transformers, told that it is a T5: the nearest of the models that it knows."""
    import onnx
    from onnxruntime.transformers.optimizer import optimize_by_fusion

    optimized = optimize_by_fusion(onnx.load(source), model_type="t5")
    counts: dict[str, int] = optimized.get_fused_operator_statistics()
    _save(optimized.model, out)
    return counts


def _by_onnxscript(source: Path, out: Path) -> dict[str, int]:
    """onnxscript's fusions for ONNX Runtime."""
    import onnx_ir as ir
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    model, counts = optimize_for_ort(ir.load(source))
    _save(ir.to_proto(ir.external_data.load_to_model(model)), out)
    return {str(rule): n for rule, n in counts.items()}


def _by_onnxruntime_tools(source: Path, out: Path) -> dict[str, int]:
    """The retired package's optimizer for BERT, its default."""
    from onnxruntime_tools.transformers.optimizer import optimize_model

    optimized = optimize_model(str(source), model_type="bert", opt_level=0)
    counts: dict[str, int] = optimized.get_fused_operator_statistics()
    _save(optimized.model, out)
    return counts


_TOOLS = {
    "onnxruntime": _by_onnxruntime,
    "onnxscript": _by_onnxscript,
    "onnxruntime-tools": _by_onnxruntime_tools,
}


def _save(model, out: Path) -> None:  # type: ignore[no-untyped-def]
    import onnx

    onnx.save(model, out, save_as_external_data=True, location=f"{out.name}.data")


def peak_rss_bytes() -> int:
    """This process's high-water mark; what getrusage reports includes its parent's."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    marks = [line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line]
    return int(marks[0]) * 1024


def _main(tool: str, source: str, out: str) -> None:
    """Fuse, write, and tell."""
    started_s = time.perf_counter()
    counts = _TOOLS[tool](Path(source), Path(out))
    told = {
        "counts": {name: int(n) for name, n in counts.items() if n},
        "seconds": time.perf_counter() - started_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }
    sys.stdout.write(f"{json.dumps(told)}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:4])
