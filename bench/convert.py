"""What a conversion costs: seconds and peak memory, ours beside the usual tools', in one run.

`python -m bench.convert [MODEL]` converts the full-size coarse model (made with seeded weights in
the work folder unless another is named) with each converter in a process of its own, one after
the other in shuffled rounds, and adds the samples to those of bench/results/convert.json (a run of
all takes minutes; several short ones on a quiet machine add up). Seconds are those of the
conversion with reading and writing, without imports; memory is the process's peak resident set,
and beside it what the imports alone take. A tool that fails is listed with its message.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench import ROOT
from profiles.host import describe_host
from profiles.measure.child import peak_rss_bytes
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.records.generic import as_json

_RESULTS = Path(__file__).resolve().parent / "results" / "convert.json"
_LIMIT_S = 600.0
_SCHEMA = 2


def _ours(recipe: str) -> Callable[[Path, Path], None]:
    """Our recipe; as a user gets it, but without opening the result in the runtime."""
    from optimize.build import build_variant
    from optimize.recipes import find_recipe
    from vampnet_models.onnxfile.artifact import open_artifact

    def convert(source: Path, out: Path) -> None:
        build_variant(open_artifact(source), find_recipe(recipe), out, check_load=False)

    return convert


def _quantize_dynamic() -> Callable[[Path, Path], None]:
    """onnxruntime's dynamic INT8."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as quantize

    def convert(source: Path, out: Path) -> None:
        quantize(
            source,
            out,
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )

    return convert


def _float16(package: str) -> Callable[[Path, Path], None]:
    """FP16 by onnxruntime.transformers or onnxconverter_common."""
    import onnx

    if package == "onnxruntime":
        from onnxruntime.transformers.float16 import convert_float_to_float16
    else:
        from onnxconverter_common.float16 import convert_float_to_float16

    def convert(source: Path, out: Path) -> None:
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        onnx.save(model, out, save_as_external_data=True, location=f"{out.name}.data")

    return convert


def matmul_nbits(bits: int) -> Callable[[Path, Path], None]:
    """onnxruntime's MatMulNBitsQuantizer, round to nearest, blocks of 32."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    def convert(source: Path, out: Path) -> None:
        settings = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, bits=bits)
        quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=settings)
        quantizer.process()
        quantizer.model.save_model_to_file(str(out), use_external_data_format=True)

    return convert


_CONVERTERS: dict[str, Callable[[], Callable[[Path, Path], None]]] = {
    "ours: fused": lambda: _ours("fused"),
    "ours: fp16": lambda: _ours("fp16"),
    "ours: int8-weights": lambda: _ours("int8-weights"),
    "ours: int4-weights": lambda: _ours("int4-weights"),
    "ours: int8-dynamic": lambda: _ours("int8-dynamic"),
    "onnxruntime quantize_dynamic": _quantize_dynamic,
    "onnxruntime float16": lambda: _float16("onnxruntime"),
    "onnxconverter-common float16": lambda: _float16("onnxconverter_common"),
    "onnxruntime MatMulNBits 8 bits": lambda: matmul_nbits(8),
    "onnxruntime MatMulNBits 4 bits": lambda: matmul_nbits(4),
}


def _child(name: str, source: Path, out: Path) -> Json:
    """Convert in this process: seconds and bytes of memory."""
    convert = _CONVERTERS[name]()
    imports_bytes = peak_rss_bytes()
    start = time.perf_counter()
    convert(source, out)
    took_s = time.perf_counter() - start
    written = sum(p.stat().st_size for p in out.parent.iterdir() if p.is_file())
    return {
        "seconds": took_s,
        "peak_rss_bytes": peak_rss_bytes(),
        "imports_rss_bytes": imports_bytes,
        "written_bytes": written,
    }


def _run_child(name: str, source: Path, work: Path) -> Json:
    """One conversion in a fresh process; what it wrote is removed again."""
    out = work / "converted"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.convert", "--child", name, str(source)]
    command += ["--out", str(out / "model.onnx")]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {_LIMIT_S:.0f} s"}
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": lines[-1][-300:]}
    found: Json = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(source: Path, work: Path, names: list[str], rounds: int, results: Path) -> Json:
    """Shuffled rounds over the converters; the file is written after each conversion."""
    content, entry = _opened(results, source)
    samples = entry["converters"]
    entry["runs"].append(
        {"host": as_json(describe_host()), "rounds": rounds, "converters": list(names)}
    )
    order = random.Random(len(entry["runs"]))
    for number in range(rounds):
        for name in order.sample(names, len(names)):
            taken = samples.setdefault(name, [])
            if taken and "failed" in taken[-1]:
                continue
            found = _run_child(name, source, work) | {"run": len(entry["runs"]) - 1}
            taken.append(found)
            write_text(results, json.dumps(content, indent=1) + "\n")
            print(f"round {number + 1}: {line(name, [found])}", flush=True)
    return entry


def _opened(results: Path, source: Path) -> tuple[Json, Json]:
    """What the file holds so far, and this model's part of it: empty where it was another one."""
    content: Json = {"schema": _SCHEMA, "models": {}}
    if results.is_file():
        earlier = json.loads(results.read_text(encoding="utf-8"))
        content = earlier if earlier["schema"] == _SCHEMA else content
    bytes_ = sum(p.stat().st_size for p in source.parent.glob(f"{source.name}*"))
    entry = content["models"].get(source.stem)
    if entry is None or entry["bytes"] != bytes_:
        entry = {"bytes": bytes_, "runs": [], "converters": {}}
        content["models"][source.stem] = entry
    return content, entry


def line(name: str, samples: list[Json]) -> str:
    """One converter's medians, or why it failed."""
    failed = [each["failed"] for each in samples if "failed" in each]
    if failed or not samples:
        return f"{name:<32} failed: {failed[0] if failed else 'not run'}"
    seconds = median(each["seconds"] for each in samples)
    peak = max(each["peak_rss_bytes"] for each in samples) / 1e6
    size = samples[-1]["written_bytes"] / 1e6
    return f"{name:<32} {seconds:7.1f} s  peak RSS {peak:7.0f} MB  wrote {size:7.1f} MB"


def _full_size_coarse(work: Path) -> Path:
    """The full-size coarse model with seeded weights, made once."""
    from vampnet_models.architectures.synth import synth

    path = work / "models" / "coarse.onnx"
    if not path.is_file():
        synth("vampnet", work / "models")
    return path


def _main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, default=Path("out/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(_CONVERTERS), default=list(_CONVERTERS))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(_child(chosen.child, chosen.model, chosen.out)))
        return
    source = chosen.model or _full_size_coarse(chosen.work)
    if not source.is_file():
        raise InputError(f"{source}: no such file; give an .onnx model")
    content = measure(
        source.resolve(), chosen.work.resolve(), chosen.only, chosen.rounds, chosen.results
    )
    print()
    for name, samples in content["converters"].items():
        print(line(name, samples))
    print(chosen.results)


if __name__ == "__main__":
    _main()
