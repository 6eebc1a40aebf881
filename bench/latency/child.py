"""The timed process: one runtime, one model, one inference per request.

    PYTHON bench/latency/child.py RUNTIME MODEL FEEDS.npz THREADS

RUNTIME is onnxruntime, onnxruntime-native (with the operator library), openvino, openvino-bf16 or
torch, each imported from the interpreter that runs this file.
It answers in lines of JSON: {"ready": VERSION} or {"error": MESSAGE} first; then `run` gives
{"seconds": S} and `answer FILE.npz` writes the outputs there and gives {"answered": true}.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the runtime is loaded

_Run = Callable[[], dict[str, Any]]
"""One inference: the outputs by name."""


def _onnxruntime_run(
    model: Path, feeds: dict[str, Any], threads: int, library: Path | None = None
) -> tuple[str, _Run]:
    """ONNX Runtime's CPU provider with all optimizations."""
    import onnxruntime as ort

    from vampnet_models.onnxfile.exact import exact_session, is_exact

    options = ort.SessionOptions()
    for key, value in exact_session().items() if is_exact(model) else ():
        options.add_session_config_entry(key, value)
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    if library is not None:
        options.register_custom_ops_library(str(library))
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return ort.__version__, lambda: dict(zip(names, session.run(None, feeds), strict=True))


def _native_run(model: Path, feeds: dict[str, Any], threads: int) -> tuple[str, _Run]:
    """The same with the operators that `vampbench native` builds."""
    from vampnet_models.native.library import build_library

    return _onnxruntime_run(model, feeds, threads, build_library())


def _openvino_run(
    model: Path, feeds: dict[str, Any], threads: int, precision: str = "f32"
) -> tuple[str, _Run]:
    """OpenVINO's CPU device, `precision` where nothing is quantized, shaped for these feeds.

    On CPUs with bfloat16 that would otherwise silently be its precision.
    """
    import openvino as ov

    core = ov.Core()
    graph = core.read_model(model)
    graph.reshape({name: list(array.shape) for name, array in feeds.items()})
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(graph, "CPU", settings).create_infer_request()

    def run() -> dict[str, Any]:
        result = request.infer(feeds)
        return {port.get_any_name(): values for port, values in result.items()}

    return ov.__version__, run


def _openvino_bf16_run(model: Path, feeds: dict[str, Any], threads: int) -> tuple[str, _Run]:
    """The same in bfloat16. Raises RuntimeError where the processor computes it in float32."""
    if not {"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text().split()):
        raise RuntimeError("this processor has no bfloat16")
    return _openvino_run(model, feeds, threads, "bf16")


def _torch_run(model: Path, feeds: dict[str, Any], threads: int) -> tuple[str, _Run]:
    """The same architecture in eager PyTorch with weights of its own: it tells speed only."""
    import torch

    from training.networks.codec import Codec
    from training.networks.transformer import VampNet, masked
    from vampnet_models.onnxfile.artifact import load_model
    from vampnet_models.spec import CONFIG_KEY, ROLE_KEY

    torch.set_num_threads(threads)
    facts = load_model(model).metadata_props
    config = {k: v for k, v in json.loads(facts[CONFIG_KEY]).items() if k != "kind"}
    inputs = {name: torch.from_numpy(array) for name, array in feeds.items()}
    role = facts[ROLE_KEY]
    if role in ("coarse", "c2f"):
        tables = torch.randn(config["n_codebooks"], 1024, config["latent_dim"])
        network = VampNet(tables, **config, dropout=0.0).eval()
        call = lambda: network(masked(inputs["codes"], inputs["mask"]))  # noqa: E731
    else:
        names = ("encoder_dim", "encoder_rates", "decoder_dim", "decoder_rates")
        names += ("n_codebooks", "codebook_size", "codebook_dim", "sample_rate")
        codec = Codec(**{k: config[k] for k in names}, quantizer_dropout=False).eval()
        (source,) = inputs.values()
        method = codec.encode if role == "codec-encoder" else codec.decode
        call = lambda: method(source)  # noqa: E731

    def run() -> dict[str, Any]:
        with torch.inference_mode():
            call()
        return {}

    return torch.__version__, run


_RUNTIMES = {
    "onnxruntime": _onnxruntime_run,
    "onnxruntime-native": _native_run,
    "openvino": _openvino_run,
    "openvino-bf16": _openvino_bf16_run,
    "torch": _torch_run,
}


def _main(arguments: list[str]) -> int:
    """Serve one parent until its input ends; 2 when the model could not be opened."""
    runtime, model, feeds_path, threads = arguments
    # What libraries print must not mix into the protocol.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**reply: object) -> None:
        replies.write(json.dumps(reply) + "\n")

    try:
        with np.load(feeds_path) as archive:
            feeds = {name: archive[name] for name in archive.files}
        version, run = _RUNTIMES[runtime](Path(model), feeds, int(threads))
        run()
        say(ready=version)
        for line in sys.stdin:
            verb, *rest = line.split(maxsplit=1)
            start = time.perf_counter()
            outputs = run()
            seconds = time.perf_counter() - start
            if verb == "answer":
                np.savez(rest[0].strip(), **outputs)
                say(answered=True)
            else:
                say(seconds=seconds)
    except Exception as error:  # noqa: BLE001
        # Each runtime raises classes of its own; the parent records the message.
        say(error=f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}")
        return 2
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.exit(_main(sys.argv[1:]))
