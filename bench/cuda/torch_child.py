"""A transformer of the same architecture in eager PyTorch, timed as every model is.

    python -m bench.cuda.torch_child MODEL.onnx FEEDS.npz DEVICE PRECISION

The protocol is that of profiles/measure/child.py. The network of training/networks has weights of
its own: it tells speed only. PRECISION is fp32 or fp16; fp32 may multiply in TF32, as ONNX
Runtime's provider does by itself.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from profiles.measure.child import peak_rss_bytes
from vampnet_models.errors import reason_of
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.spec import CONFIG_KEY


def _opened(model: Path, feeds_path: Path, device: str, precision: str) -> Callable[[], None]:
    """A run with its inputs on the device, which ends when the answer is ready."""
    import torch

    from training.networks.transformer import VampNet, masked

    torch.set_float32_matmul_precision("high")
    # The network makes tensors of positions in each run.
    torch.set_default_device(device)
    config: dict[str, Any] = json.loads(load_model(model).metadata_props[CONFIG_KEY])
    config.pop("kind", None)
    tables = torch.randn(config["n_codebooks"], 1024, config["latent_dim"])
    network = VampNet(tables, **config, dropout=0.0).eval()
    if precision == "fp16":
        network = network.half()
    with np.load(feeds_path) as archive:
        codes, mask = (torch.from_numpy(archive[name]).to(device) for name in ("codes", "mask"))

    def run() -> None:
        with torch.inference_mode():
            network(masked(codes, mask))
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def _main(model: str, feeds: str, device: str, precision: str) -> int:
    """Serve one parent until its input ends; 2 where the network could not be opened."""
    # What libraries print must not mix into the protocol.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**reply: object) -> None:
        replies.write(json.dumps(reply) + "\n")

    try:
        run = _opened(Path(model), Path(feeds), device, precision)
        say(event="ready")
        gc.disable()
        for line in sys.stdin:
            verb, *rest = line.split()
            if verb == "memory":
                say(event="memory", peak_rss_bytes=peak_rss_bytes())
                continue
            samples_s = []
            for _ in range(int(rest[0])):
                start = time.perf_counter()
                run()
                samples_s.append(time.perf_counter() - start)
            say(event="ran", samples_s=samples_s)
    except Exception as error:  # noqa: BLE001
        # The library raises classes of its own; the parent records the message.
        say(event="error", message=f"PyTorch: {reason_of(error)}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:5]))
