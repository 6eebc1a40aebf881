"""What `bench/latency/run.py` compares: runtimes, their models, and how those are made.

    python -m bench.latency.runners RUNNER MODEL CALIBRATION.npz OUT

makes one model in a process of its own, so that what a tool holds in memory is gone afterwards.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT
from calibration.feeds.feedset import load_feed_set
from optimize.build import build_variant
from optimize.recipes import NATIVE_RECIPES, find_recipe
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.native.library import build_library
from vampnet_models.onnxfile.artifact import open_artifact, write_text
from vampnet_models.onnxfile.session import Feeds

BASELINE = "ort-fp32"


@dataclass(frozen=True)
class Runner:
    """A runtime with the kind of model that it runs.

    `made` says that a model is made for it; `environment` whose interpreter runs it (`here`,
    `bench` or `torch`); it is timed in every `every`-th round: slow rivals whose ratio is large
    need fewer samples.
    """

    name: str
    runtime: str
    made: bool = True
    environment: str = "here"
    every: int = 1


RUNNERS = (
    Runner(BASELINE, "onnxruntime", made=False),
    Runner("torch-eager", "torch", made=False, environment="torch", every=5),
    Runner("openvino-fp32", "openvino", made=False, environment="bench", every=5),
    Runner("openvino-bf16", "openvino-bf16", made=False, environment="bench"),
    Runner("openvino-nncf-int8", "openvino", environment="bench"),
    Runner("quantize-dynamic", "onnxruntime"),
    Runner("quantize-static", "onnxruntime"),
    Runner("fused", "onnxruntime"),
    Runner("int8-static", "onnxruntime"),
    Runner("int8-dynamic", "onnxruntime"),
    Runner("fused-native", "onnxruntime-native"),
    Runner("int8-static-native", "onnxruntime-native"),
    Runner("int8-dynamic-native", "onnxruntime-native"),
    Runner("bf16-native", "onnxruntime-native"),
)


_OURS = ("fused", "int8-static", "int8-dynamic", *(each.name for each in NATIVE_RECIPES))


def model_of(runner: Runner, source: Path, work: Path) -> Path:
    """Where the model that a runner opens lies."""
    if not runner.made:
        return source
    suffix = ".xml" if runner.runtime == "openvino" else ".onnx"
    return work / f"{source.stem}.{runner.name}{suffix}"


def prepare(
    runner: Runner, source: Path, calibration: Path, work: Path, interpreter: str
) -> str | None:
    """Make the model of a runner unless it is there; the reason where that failed.

    A model counts as there when the stamp beside it names the same source and tool; a failure is
    tried again.
    """
    if not runner.made:
        return None
    out = model_of(runner, source, work)
    stamp = out.with_name(f"{out.name}.made")
    facts = source.stat()
    wanted = f"{source.resolve()} {facts.st_size} {facts.st_mtime_ns} {calibration.stat().st_size}"
    # The recipes check for themselves whether a variant is still the one that they would make.
    ours = runner.name in _OURS
    if not ours and out.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return None
    if runner.environment == "bench":
        command = [interpreter, "-m", "bench.latency.nncf"]
    else:
        command = [interpreter, "-m", "bench.latency.runners", runner.name]
    command += [str(each.resolve()) for each in (source, calibration, out)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{interpreter} does not start: {error}"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return f"its model could not be made: {lines[-1][-300:]}"
    write_text(stamp, wanted)
    return None


class _Reader:
    """The calibration feeds as onnxruntime.quantization reads them."""

    def __init__(self, feeds: tuple[Feeds, ...]) -> None:
        self._rest: Iterator[Feeds] = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next feed, None at the end."""
        return next(self._rest, None)


def _make(name: str, source: Path, calibration: Path, out: Path) -> None:
    """Make one model with onnxruntime's tools or with a recipe."""
    feeds = load_feed_set(calibration)
    large = open_artifact(source).bytes > 1_000_000_000
    if name == "quantize-dynamic":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(source, out, weight_type=QuantType.QInt8, use_external_data_format=large)
    elif name == "quantize-static":
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        quantize_static(
            source,
            out,
            _Reader(feeds.feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            use_external_data_format=large,
        )
    else:
        recipe, portable = find_recipe(name), None
        if recipe.is_native:
            build_library()
            portable = out.with_name(out.name.replace("-native", ""))
            _make(name.removesuffix("-native"), source, calibration, portable)
        model = open_artifact(source)
        build_variant(model, recipe, out, calibration=feeds, portable=portable)


def _main() -> None:
    """Make what the arguments say; a failure ends with its message on the standard error."""
    name, source, calibration, out = sys.argv[1:5]
    try:
        _make(name, Path(source), Path(calibration), Path(out))
    except (WorkbenchError, NotApplicable) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main()
