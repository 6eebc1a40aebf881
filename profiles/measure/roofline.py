"""This host's measured peaks, and how far a model is from what they allow.

The roofline (Williams, Waterman and Patterson, 2009) with peaks that the runtime itself reaches
on this machine: a large matrix product in FP32 and in INT8, and a memory copy by all threads.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from onnx import TensorProto, helper

from profiles.count.cost import ModelCost
from profiles.measure.process import ChildFailed, child
from profiles.place import Place
from vampnet_models.errors import InputError
from vampnet_models.records.profiles import Peaks, Roofline
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import IR_VERSION, OPSET

_SIDE = 1024
"""Of a square product: 2.1 GFLOP, beside which starting the threads is nothing."""

_COPY_BYTES = 128 << 20
"""More than caches hold, so that memory is what is measured."""


_FASTER = "faster than the measured peaks: they were taken on a busier machine; repeat them"
"""What a run that is faster than the peaks allow tells on the peaks."""


def roofline(cost: ModelCost, peaks: Peaks, measured_s: float) -> Roofline:
    """Place a run of `measured_s` seconds under the roof."""
    bandwidth = peaks.copy_bytes_per_s
    compute_s = [n.flops / peaks.rate(n.precision) for n in cost.nodes]
    traffic_s = [n.bytes / bandwidth for n in cost.nodes]
    weights_s = sum(n.weight_bytes for n in cost.nodes) / bandwidth
    per_node_s = sum(map(max, compute_s, traffic_s))
    waiting = sum(t for c, t in zip(compute_s, traffic_s, strict=True) if t > c)
    floor_s = max(sum(compute_s), weights_s)
    return Roofline(
        floor_s=floor_s,
        per_node_s=per_node_s,
        measured_s=measured_s,
        memory_bound_share=waiting / per_node_s if per_node_s else 0.0,
        flops_per_byte=cost.flops / cost.bytes if cost.bytes else 0.0,
        efficiency=floor_s / measured_s,
        warnings=(_FASTER,) if floor_s > measured_s else (),
    )


def measure_peaks(place: Place, runs: int = 30) -> Peaks:
    """Measure the three peaks with the place's threads; seconds of work. Raises InputError."""
    operations = 2 * _SIDE**3
    return Peaks(
        threads=place.threads,
        fp32_flops_per_s=operations / _product_s(place, integer=False, runs=runs),
        int8_ops_per_s=operations / _product_s(place, integer=True, runs=runs),
        copy_bytes_per_s=copy_rate(place.threads),
    )


def copy_rate(threads: int, repeats: int = 8) -> float:
    """Bytes read plus bytes written per second by `threads` copies side by side, the best seen."""
    sources = [np.ones(_COPY_BYTES // threads, np.uint8) for _ in range(threads)]
    targets = [np.empty_like(source) for source in sources]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(np.copyto, targets, sources))
            # Other work can only slow a copy: the fastest is the nearest to the peak.
            best = min(best, time.perf_counter() - start)
    return 2 * sum(source.nbytes for source in sources) / best


def _product_s(place: Place, *, integer: bool, runs: int) -> float:
    """The fastest run of a square matrix product with a constant right side."""
    rng = np.random.default_rng(0)
    shape = (_SIDE, _SIDE)
    if integer:
        x = rng.integers(0, 255, shape, np.uint8)
        weight = rng.integers(-127, 127, shape, np.int8)
        types = (TensorProto.UINT8, TensorProto.INT32)
        node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    else:
        x = rng.standard_normal(shape, np.float32)
        weight = rng.standard_normal(shape, np.float32)
        types = (TensorProto.FLOAT, TensorProto.FLOAT)
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", types[0], shape)],
        [helper.make_tensor_value_info("y", types[1], shape)],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", OPSET)]
    with scratch_folder() as folder:
        path, feeds = folder / "peak.onnx", folder / "feeds.npz"
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
        np.savez(feeds, x=x)
        try:
            with child(path, feeds, place) as process:
                return min(process.run(runs))
        except ChildFailed as error:
            raise InputError(f"{place.name}: the peak cannot be measured: {error}") from None
